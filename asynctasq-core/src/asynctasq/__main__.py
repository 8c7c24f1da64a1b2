"""The command line as a module: `python -m asynctasq`."""

from asynctasq.cli import main

if __name__ == "__main__":
    main(prog_name="asynctasq")
