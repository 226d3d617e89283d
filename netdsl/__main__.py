"""`netdsl` and `python -m netdsl`: Ctrl-C ends the command without a traceback while it is still being imported."""


def main() -> None:
    """Run the command line; the status is 130 where Ctrl-C came before there was a command."""
    try:
        from netdsl.cli.main import main as run
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
