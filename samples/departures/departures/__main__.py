"""The command line: python3 -m departures generate|train|serve|feed|drive|call."""

import argparse
import os
import signal
import sys


def main(argv=None):
    arguments = _parser().parse_args(argv)
    # A container's first process ignores SIGTERM unless it handles it. The servers replace this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return arguments.run(arguments)


def _generate(arguments):
    from . import world

    text = world.history(arguments.change, arguments.rows, arguments.seed)
    if arguments.out == "-":
        sys.stdout.write(text)
        return 0
    with open(arguments.out, "w", encoding="utf-8") as stream:
        stream.write(text)
    return 0


# Each command imports only what it needs: serving needs no numpy, and starts faster without.
def _train(arguments):
    from . import train

    return train.main(arguments)


def _serve(arguments):
    from . import serve

    return serve.main(arguments)


def _feed(arguments):
    from . import feed

    return feed.main(arguments)


def _drive(arguments):
    from . import drive

    return drive.main(arguments)


def _call(arguments):
    from . import artifacts

    body = arguments.body.encode() if arguments.body is not None else None
    try:
        answer = artifacts.send(
            arguments.feed.rstrip("/") + "/" + arguments.path.lstrip("/"), arguments.method, body
        )
    except artifacts.ArtifactError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sys.stdout.write(answer.decode(errors="replace") + "\n")
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="departures", description="A bus-departure model, and the small world that it lives in."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    generate = commands.add_parser("generate", help="write finished trips as CSV")
    generate.set_defaults(run=_generate)
    generate.add_argument("--rows", type=_positive, default=40_000)
    generate.add_argument("--seed", type=_seed, default=1)
    generate.add_argument("--change", type=_change, default="none", help="none, timetable or snow")
    generate.add_argument("--out", default="-", help="a file; - is standard output")

    train = commands.add_parser("train", help="fit, evaluate and store a model")
    train.set_defaults(run=_train)
    _option(train, "--data", "DATA_URL", help="CSV: http(s)://, file:// or a path")
    _option(train, "--store", "MODEL_STORE", help="where models go: the URL of a feed, or a folder")
    _option(train, "--seed", "PERENNIAL_SEED", "1", type=_seed, help="which rows are held out")
    _option(train, "--l2", "L2", "1.0", type=float, help="strength of the ridge penalty")

    serve = commands.add_parser("serve", help="answer predictions over HTTP")
    serve.set_defaults(run=_serve)
    _option(serve, "--model", "MODEL_URI", help="http(s)://, file:// or a path")
    _option(serve, "--digest", "MODEL_DIGEST", help="sha256:<hex>; empty: not verified")
    _option(serve, "--feed", "FEED_URL", help="where outcomes come from; empty: nowhere")
    _option(serve, "--port", "PORT", "8080", type=int)
    _option(serve, "--drain", "DRAIN_SECONDS", "5", type=float, help="seconds of serving after SIGTERM")

    feed = commands.add_parser("feed", help="be the outside world: trips, departures, model store")
    feed.set_defaults(run=_feed)
    _option(feed, "--folder", "FEED_FOLDER", "/data", help="keeps the models")
    _option(feed, "--seed", "FEED_SEED", "1", type=_seed)
    _option(feed, "--change", "FEED_CHANGE", "none", type=_change, help="the world at the start")
    _option(feed, "--departs-after", "DEPARTS_AFTER_SECONDS", "2", type=float)
    _option(feed, "--port", "PORT", "8080", type=int)

    drive = commands.add_parser("drive", help="send trips to a served model")
    drive.set_defaults(run=_drive)
    _option(drive, "--feed", "FEED_URL", "http://127.0.0.1:8080")
    _option(drive, "--target", "TARGET_URL", "http://127.0.0.1:8081/predict")
    _option(drive, "--host", "TARGET_HOST", help="Host header: a gateway routes by it")
    _option(drive, "--rate", "RATE", "40", type=_rate, help="requests per second")
    _option(drive, "--connections", "CONNECTIONS", "4", type=_positive)
    _option(drive, "--users", "USERS", "0", type=int, help="simulated users who keep cookies; 0: none")
    drive.add_argument(
        "--await-target", action="store_true", default=bool(os.environ.get("AWAIT_TARGET")),
        help="count nothing before the target's first answer [AWAIT_TARGET]",
    )
    _option(drive, "--duration", "DURATION_SECONDS", type=_duration, help="default: until stopped")
    _option(drive, "--report-every", "REPORT_EVERY_SECONDS", "5", type=float)

    call = commands.add_parser("call", help="ask the feed something, e.g. from inside its container")
    call.set_defaults(run=_call)
    call.add_argument("method", choices=("GET", "POST"))
    call.add_argument("path", help="such as /world")
    call.add_argument("body", nargs="?", help="""such as '{"change": "snow"}'""")
    _option(call, "--feed", "FEED_URL", "http://127.0.0.1:8080")
    return parser


def _option(parser, flag, variable, default="", help="", **keywords):
    """Adds an option whose default comes from the environment."""
    value = os.environ.get(variable) or default
    text = f"{help} [{variable}]".strip()
    # argparse converts a default that is text, and so reports a bad environment like a bad flag.
    parser.add_argument(flag, default=value, help=text, **keywords)


def _positive(text):
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value


def _seed(text):
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError("must be from 0 to 4294967295")
    return value


def _change(text):
    if text not in ("none", "timetable", "snow"):
        raise argparse.ArgumentTypeError("must be none, timetable or snow")
    return text


def _rate(text):
    value = float(text)
    if not 0 < value <= 5000:
        raise argparse.ArgumentTypeError("must be greater than 0 and at most 5000")
    return value


def _duration(text):
    return float(text) if text else None


if __name__ == "__main__":
    sys.exit(main())
