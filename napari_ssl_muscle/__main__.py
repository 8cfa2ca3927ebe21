"""``python -m napari_ssl_muscle``: the shell command, also where no script was installed."""

from napari_ssl_muscle.cli import main

if __name__ == "__main__":
    main()
