"""A page of the guide as something that is run: its blocks, and a shell for its commands."""

import os
import re
import subprocess

import story


def blocks(page):
    """Returns [(language, text, prose before it)] of a page, in order."""
    found = []
    prose = []
    language = None
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            if language is None:
                language, text = line[3:], []
            else:
                found.append((language, "\n".join(text) + "\n", "\n".join(prose)))
                prose, language = [], None
        elif language is not None:
            text.append(line)
        else:
            prose.append(line)
    return found


def file_of(prose):
    """Returns the name under which the reader is told to save the next block, or None."""
    names = re.findall(r"as `([-a-z]+\.yaml)`", prose)
    return names[-1] if names else None


def command(text, folder):
    """Runs a block of commands as a reader would, with the project's programs in PATH; returns what it prints.

    The page's time limits are for machines that have time for the reader.
    """
    text = re.sub(r"--timeout=(\d+)s", lambda limit: f"--timeout={max(int(limit[1]), story.PATIENCE)}s", text)
    environment = dict(os.environ)
    environment["PATH"] = os.environ["PERENNIAL_BIN"] + ":" + environment["PATH"]
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, text=True,
                          env=environment, capture_output=True, timeout=400)
    if done.returncode != 0:
        raise AssertionError(f"{text}\n{done.stdout}{done.stderr}")
    print(f"$ {text}{done.stdout}", flush=True)
    return done.stdout
