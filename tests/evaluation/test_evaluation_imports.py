import subprocess
import sys


def test_metrics_and_reports_load_without_heavy_libraries():
    # The window's forms import these; heavy libraries wait for the first figures.
    code = (
        "import sys\n"
        "from napari_ssl_muscle.evaluation import evaluate, report\n"
        "from napari_ssl_muscle.evaluation.measures import report as measures\n"
        "print(*{'torch', 'pandas', 'scipy.ndimage', 'scipy.special'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
