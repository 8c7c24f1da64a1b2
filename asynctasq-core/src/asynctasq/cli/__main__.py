"""`python -m asynctasq.cli`."""

from asynctasq.cli import main

if __name__ == "__main__":
    main(prog_name="asynctasq")
