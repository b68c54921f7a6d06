#!/usr/bin/env python3
"""docs/guide/ab-test.md, executed: its manifest and commands as they stand on the page.

Needs a cluster with the controller in it, and the folder of the project's programs in $PERENNIAL_BIN. The image that
the page names is replaced by one that the cluster has, with a server whose error depends on the model.
"""

import pathlib
import re
import tempfile
import unittest

import page
import served
import story

PAGE = story.ROOT / "docs/guide/ab-test.md"
SPACE = "rides"
HOST = "eta.example.org"

# Exactly the metrics of the page. The second model errs by less, the third by more.
SERVER = story.model_server("""
ERROR = prometheus_client.Histogram("prediction_error", "Absolute error, minutes.", buckets=[1, 2, 4, 8, 16])
SQUARES = prometheus_client.Counter("prediction_error_squares", "Squares of the same.")
PREDICTIONS = prometheus_client.Counter("predictions", "Requests for a prediction.")
FAILURES = prometheus_client.Counter("prediction_failures", "Requests that got none.")
SCALE = {"1": 3.0, "2": 2.2, "3": 4.5}[os.environ["MODEL_URI"].rsplit(":", 1)[1]]
""", """
    error = random.expovariate(1 / SCALE)
    ERROR.observe(error)
    SQUARES.inc(error * error)
    PREDICTIONS.inc()
""")


def adapted(manifest):
    """The page's manifest with a server that is there, and that may take its time to say that it is ready."""
    image, period = "image: example.org/eta-server:1", "periodSeconds: 1"
    for words in (image, period):
        if words not in manifest:
            raise AssertionError(f"the page lost its {words}")
    lines = "".join(f"          {line}\n" for line in SERVER.splitlines())
    return manifest.replace(period, period + ", timeoutSeconds: 10").replace(
        image, "image: perennial.dev/departures:dev\n        imagePullPolicy: IfNotPresent\n"
               "        command: [python3, -c]\n        args:\n        - |\n" + lines.rstrip("\n"))


class Guide(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.riders = None
        # The guide of drift detection uses the same names.
        story.namespace(SPACE)
        story.gateway(SPACE)

    @classmethod
    def tearDownClass(cls):
        if cls.riders:
            cls.riders.end()
        story.kubectl("delete", "namespace", SPACE, "--wait=false")
        cls.scratch.cleanup()

    def let_riders_ask(self):
        where = story.gateway_address(SPACE)
        story.wait_for("the model answers", story.PATIENCE, lambda: story.answers(where, "/healthz", HOST))
        type(self).riders = served.Crowd(where, HOST, pause=0.005)
        self.riders.start()

    def test_page(self):
        printed = ""
        commands = 0
        for language, text, prose in page.blocks(PAGE):
            if language == "yaml":
                name = page.file_of(prose)
                self.assertTrue(name, f"the page doesn't say where this goes:\n{text}")
                (self.folder / name).write_text(adapted(text), encoding="utf-8")
            elif language == "sh":
                if "patch" in text and not self.riders:
                    self.let_riders_ask()
                printed = page.command(text, self.folder)
                commands += 1
            elif language == "text":
                for line in text.splitlines():
                    pattern = re.escape(line).replace(r"\.\.\.", ".*")
                    self.assertRegex(printed, pattern, f"the page shows: {line}")
        self.assertGreater(commands, 4, "the page has lost its commands")
        status = story.model_deployment("eta", SPACE)["status"]
        self.assertEqual([entry["outcome"] for entry in status["history"]],
                         ["RolledBack", "Promoted", "Promoted"])
        self.assertEqual(status["variants"][0]["model"]["uri"], "oci://models/eta:2")
        self.assertEqual(self.riders.failures, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
