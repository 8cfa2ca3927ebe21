# Two commands do it all on a fresh machine: "make app" opens the program, "make test" tests it.
PYTHON ?=
QT ?= pyqt5
BIN := .venv/bin
# One test process for each core, at most four (a process takes about 1 GB); a file stays in one process.
PARALLEL ?= -n auto --maxprocesses 4 --dist loadfile
export PYTHON

.PHONY: help app test test-qt6 lint walkthrough bench clean

help:
	@echo "make app       set up and open napari with a phantom scan (QT=pyqt6 for the other Qt)"
	@echo "make test      set up and run every test"
	@echo "make test-qt6  the window's tests again, on PyQt6"
	@echo "make lint      style, types, and who may import whom"
	@echo "make walkthrough  sessions with real clicks on the phantom, and pictures of them"
	@echo "make bench     how fast it is here: a table, and build/bench.json"
	@echo "make clean     remove what was built (the environment .venv stays)"

app:
	@tools/setup app $(QT)
	@QT_API=$(QT) $(BIN)/python tools/open_app.py build/app.png

test:
	@tools/setup test
	QT_API=pyqt5 PYTEST_QT_API=pyqt5 $(BIN)/python -m pytest $(PARALLEL)

test-qt6:
	@tools/setup test
	QT_API=pyqt6 PYTEST_QT_API=pyqt6 $(BIN)/python -m pytest $(PARALLEL) tests/viewer

lint:
	@tools/setup test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

walkthrough:
	@tools/setup test
	QT_API=$(QT) $(BIN)/python tools/display.py $(BIN)/python tools/walkthrough.py build/walkthrough

bench:
	@tools/setup test
	QT_API=pyqt5 $(BIN)/python tools/display.py $(BIN)/python bench/run.py

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find napari_ssl_muscle tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +
