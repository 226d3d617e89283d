"""`python -m netdsl` is `netdsl`."""

from netdsl.cli.main import main

if __name__ == "__main__":
    main()
