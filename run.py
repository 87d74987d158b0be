"""Watch people live: `python run.py`, `python run.py street.yaml`, `python run.py -i 0`."""

from pipeline.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
