import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from departures import artifacts, drive, exposed, feed, model, trips, world
from tests.loopback import ask, running_feed, running_serve, samples, trained

TRIP = {
    "id": "t1", "route": "4", "stop": "4-07", "hour": 8, "weekday": "Tue", "weather": "rain",
    "distance_km": 5.2, "scheduled": "08:12",
}


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)


class Feed(unittest.TestCase):
    def test_a_trip_departs_after_it_was_announced(self):
        now = [100.0]
        live = feed.Trips(1, 2.0, clock=lambda: now[0])
        announced = live.announce(3)
        self.assertTrue(all(trips.OUTCOME not in trip for trip in announced))
        page, cursor, _ = live.departed("", 10)
        self.assertEqual(page, [])
        now[0] += 2.0
        page, cursor, _ = live.departed(cursor, 10)
        self.assertEqual([identity for identity, _ in page], [trip["id"] for trip in announced])
        self.assertEqual(live.departed(cursor, 10)[0], [])

    def test_pages_join_without_gap_or_repetition(self):
        live = feed.Trips(1, 0.0)
        announced = [trip["id"] for trip in live.announce(25)]
        cursor, seen = "", []
        for _ in range(3):
            page, cursor, lost = live.departed(cursor, 10)
            seen += [identity for identity, _ in page]
        self.assertEqual(seen, announced)
        self.assertEqual(lost, 0)

    def test_a_cursor_from_before_a_restart_starts_with_what_is_kept(self):
        before, after = feed.Trips(1, 0.0), feed.Trips(1, 0.0)
        before.announce(5)
        _, cursor, _ = before.departed("", 10)
        ids = [trip["id"] for trip in after.announce(2)]
        self.assertEqual([identity for identity, _ in after.departed(cursor, 10)[0]], ids)

    def test_memory_is_bounded_and_losses_are_told(self):
        live = feed.Trips(1, 0.0)
        _, start, _ = live.departed("now", 1)
        for _ in range(0, feed.MAX_DEPARTED + 1000, 500):
            live.announce(500)
        page, _, lost = live.departed(start, 10)
        self.assertEqual((len(page), lost), (10, 1000))
        stuck = feed.Trips(1, 1e9)
        for _ in range(0, feed.MAX_PENDING, 500):
            stuck.announce(500)
        with self.assertRaises(feed.Overloaded):
            stuck.announce(1)

    def test_the_world_is_switched_by_request(self):
        with running_feed() as (_, url):
            before = ask(f"{url}/history?rows=100")[2]
            self.assertEqual(before, world.history("none", 100, 1))
            status, _, body = ask(f"{url}/world", "POST", {"change": "snow"})
            self.assertEqual((status, json.loads(body)["change"]), (200, "snow"))
            self.assertEqual(ask(f"{url}/history?rows=100")[2], world.history("snow", 100, 1))
            self.assertEqual(ask(f"{url}/history?rows=100&change=none")[2], before)
            live = json.loads(ask(f"{url}/trips?n=200")[2])["trips"]
            self.assertGreater(sum(trip["weather"] == "snow" for trip in live), 60)

    def test_bad_requests_are_refused_with_a_reason(self):
        with running_feed() as (_, url):
            for path, method, body, status, reason in (
                ("/world", "POST", {"change": "flood"}, 400, "flood"),
                ("/world", "POST", "[", 400, "snow"),
                ("/trips?n=0", "GET", None, 400, "1 to 500"),
                ("/trips?n=1e9", "GET", None, 400, "1 to 500"),
                ("/history?rows=999999999", "GET", None, 400, "rows"),
                ("/history?change=flood", "GET", None, 400, "change"),
                ("/elsewhere", "GET", None, 404, "/elsewhere"),
                ("/models/..%2f..%2fetc%2fpasswd", "GET", None, 400, "sha256"),
                ("/models/" + "0" * 64, "GET", None, 404, "0000"),
            ):
                answer = ask(url + path, method, body)
                self.assertEqual(answer[0], status, path)
                self.assertIn(reason, json.loads(answer[2])["error"], path)


class Store(unittest.TestCase):
    def test_a_model_comes_back_as_it_was_stored(self):
        with running_feed() as (_, url):
            uri = artifacts.store(f"{url}/models", b"weights")
            self.assertEqual(uri, f"{url}/models/{artifacts.hex_digest(b'weights')}")
            self.assertEqual(artifacts.store(f"{url}/", b"weights"), uri)
            digest = "sha256:" + artifacts.hex_digest(b"weights")
            self.assertEqual(artifacts.read_verified(uri, digest, 100), b"weights")

    def test_content_of_another_digest_is_not_stored(self):
        with running_feed() as (_, url):
            wrong = f"{url}/models/{'a' * 64}"
            self.assertEqual(ask(wrong, "PUT", b"weights")[0], 400)
            self.assertEqual(ask(wrong)[0], 404)

    def test_a_body_that_is_too_long_is_refused_unread(self):
        with running_feed() as (_, url):
            address = url.removeprefix("http://")
            connection = http.client.HTTPConnection(address, timeout=5)
            connection.putrequest("PUT", "/models/" + "a" * 64)
            connection.putheader("Content-Length", str(1 << 40))
            connection.endheaders()
            response = connection.getresponse()
            self.assertEqual((response.status, response.headers["Connection"]), (413, "close"))
            connection.close()

    def test_a_digest_that_does_not_match_is_refused(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"tampered")
            file.flush()
            expected = "sha256:" + artifacts.hex_digest(b"weights")
            for uri in (file.name, f"file://{file.name}"):
                with self.assertRaisesRegex(artifacts.ArtifactError, "digest mismatch"):
                    artifacts.read_verified(uri, expected, 100)
            with self.assertRaisesRegex(artifacts.ArtifactError, "more than 3 bytes"):
                artifacts.read(file.name, 3)

    def test_a_scheme_that_is_not_supported_says_so(self):
        with self.assertRaisesRegex(artifacts.ArtifactError, "oci://"):
            artifacts.read("oci://models/departures:3", 100)


class Serving(unittest.TestCase):
    def test_it_predicts_what_the_model_says(self):
        artifact = trained()
        with running_serve(artifact, "departures-1") as (_, url):
            status, _, body = ask(f"{url}/predict", "POST", TRIP)
        expected = model.decode(artifact).predict(trips.parse(TRIP))
        self.assertEqual(status, 200)
        self.assertEqual(
            json.loads(body), {"minutes": round(expected, 3), "version": "departures-1"}
        )
        self.assertGreater(expected, 0.5)

    def test_inputs_and_predictions_are_exposed_under_the_shared_bounds(self):
        with running_serve(trained()) as (_, url):
            for distance, weather in ((5.0, "rain"), (5.1, "snow"), (99.0, "frogs")):
                ask(f"{url}/predict", "POST", {**TRIP, "distance_km": distance, "weather": weather})
            text = ask(f"{url}/metrics")[2]
        values = samples(text)
        self.assertEqual(values['feature_distance_km_bucket{le="4.0"}'], 0)
        self.assertEqual(values['feature_distance_km_bucket{le="5.0"}'], 1)
        self.assertEqual(values['feature_distance_km_bucket{le="6.0"}'], 2)
        self.assertEqual(values['feature_distance_km_bucket{le="+Inf"}'], 3)
        self.assertEqual(values["predicted_minutes_count"], 3)
        self.assertEqual(values['feature_weather_total{value="snow"}'], 1)
        self.assertEqual(values['feature_weather_total{value="other"}'], 1)
        self.assertEqual(values['feature_weather_total{value="fog"}'], 0)
        self.assertEqual(values["predictions_total"], 3)
        for name, bounds in (
            (exposed.DISTANCE, exposed.DISTANCE_BOUNDS),
            (exposed.PREDICTED, exposed.PREDICTED_BOUNDS),
            (exposed.ERROR, exposed.ERROR_BOUNDS),
        ):
            found = [s for s in values if s.startswith(f"{name}_bucket")]
            self.assertEqual(
                found, [f'{name}_bucket{{le="{b}"}}' for b in (*map(float, bounds), "+Inf")]
            )

    def test_a_request_that_is_no_trip_is_refused_and_counted(self):
        with running_serve(trained()) as (_, url):
            for body, reason in (
                ("{", "Expecting"),
                ("[]", "object"),
                ("[" * 100_00, "recursion"),
                ({**TRIP, "distance_km": None}, "distance_km"),
                ('{"route":"1","stop":"1-01","weather":"fog","scheduled":"08:00","weekday":"Mon",'
                 '"hour":8,"distance_km":NaN}', "distance_km"),
                ({**TRIP, "weekday": "Monday"}, "weekday"),
                ({k: v for k, v in TRIP.items() if k != "route"}, "route"),
            ):
                status, _, answer = ask(f"{url}/predict", "POST", body)
                self.assertEqual(status, 400)
                self.assertIn(reason, json.loads(answer)["error"])
            values = samples(ask(f"{url}/metrics")[2])
        self.assertEqual(values["prediction_failures_total"], 7)
        self.assertEqual(values["predictions_total"], 7)
        self.assertEqual(values["predicted_minutes_count"], 0)

    def test_an_outcome_becomes_an_error_once(self):
        with running_serve(trained()) as (service, url):
            minutes = json.loads(ask(f"{url}/predict", "POST", TRIP)[2])["minutes"]
            for identity in ("t1", "t1", "unknown"):
                service.observe(identity, minutes + 3.0)
            values = samples(ask(f"{url}/metrics")[2])
        self.assertEqual(values["prediction_error_count"], 1)
        self.assertAlmostEqual(values["prediction_error_sum"], 3.0, delta=0.01)
        self.assertAlmostEqual(values["prediction_error_squares_total"], 9.0, delta=0.02)

    def test_predictions_without_outcome_do_not_pile_up(self):
        with running_serve(trained()) as (service, _):
            for i in range(25_000):
                service._remember(str(i), 1.0)
            self.assertLessEqual(len(service._pending), 20_000)

    def test_a_kept_connection_survives_a_refusal(self):
        with running_serve(trained()) as (_, url):
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
            statuses = []
            for body in ("{}", json.dumps(TRIP), "{}", json.dumps(TRIP)):
                connection.request("POST", "/predict", body)
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
                self.assertIsNotNone(connection.sock)
            connection.close()
        self.assertEqual(statuses, [400, 200, 400, 200])


class RoundTrip(unittest.TestCase):
    def test_trips_flow_from_feed_over_driver_to_errors(self):
        with running_feed(departs_after_s=0.6) as (outside, feed_url):
            with running_serve(trained(), "v1", feed_url) as (_, url):
                def drive_for(seconds):
                    driver = drive.Driver(feed_url, f"{url}/predict", "departures.test", 100.0)
                    lines = []
                    line = driver.run(threading.Event(), seconds, lines.append, 0.5, settle_s=1.8)
                    self.assertGreaterEqual(len(lines), 3)
                    self.assertEqual(json.loads(lines[-1]), line)
                    return line

                before = drive_for(2.0)
                values = samples(ask(f"{url}/metrics")[2])
                self.assertEqual(before["failed"], 0, before)
                self.assertGreater(before["sent"], 120)
                self.assertEqual(before["by_version"], {"v1": before["sent"]})
                self.assertEqual(before["outcomes_by_version"]["v1"], before["sent"])
                self.assertEqual(values["predictions_total"], before["sent"])
                self.assertEqual(values["prediction_error_count"], before["sent"])
                self.assertAlmostEqual(
                    values["prediction_error_sum"] / before["sent"],
                    before["mae_by_version"]["v1"],
                    delta=0.01,
                )
                outside.trips.switch("snow")
                after = drive_for(2.0)
                self.assertEqual(after["by_version"], {"v1": after["sent"]})
                self.assertGreater(after["mae_by_version"]["v1"], 2 * before["mae_by_version"]["v1"])

    def test_simulated_users_keep_their_cookies_and_the_host_is_as_told(self):
        seen = []

        class Gateway(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                cookie = self.headers.get("Cookie")
                seen.append((self.headers["Host"], cookie))
                body = b'{"minutes": 1.0, "version": "v1"}'
                self.send_response(200)
                if cookie is None:
                    self.send_header("Set-Cookie", f"variant=u{len(seen)}; Path=/; Max-Age=3600")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        gateway = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
        threading.Thread(target=gateway.serve_forever, args=(0.05,), daemon=True).start()
        with running_feed() as (_, feed_url):
            target = f"http://127.0.0.1:{gateway.server_address[1]}/predict"
            driver = drive.Driver(feed_url, target, "departures.test", 100.0, 1, users=3)
            driver.run(threading.Event(), 0.5, lambda _: None, settle_s=0.0)
        gateway.shutdown()
        gateway.server_close()
        self.assertEqual({host for host, _ in seen}, {"departures.test"})
        self.assertEqual(sum(cookie is None for _, cookie in seen), 3)
        self.assertEqual(len({cookie for _, cookie in seen if cookie}), 3)

    def test_it_can_wait_for_the_first_answer(self):
        with running_feed() as (_, feed_url):
            with running_serve(None, "v1", feed_url) as (service, url):
                driver = drive.Driver(feed_url, f"{url}/predict", rate=50.0)
                waiting = threading.Thread(target=driver.await_target, args=(threading.Event(),))
                waiting.start()
                time.sleep(0.7)
                self.assertTrue(waiting.is_alive())
                service.load(trained())
                waiting.join(5.0)
                self.assertFalse(waiting.is_alive())
                line = driver.run(threading.Event(), 0.3, lambda _: None, settle_s=0.0)
        self.assertEqual(line["failed"], 0)
        self.assertGreater(line["sent"], 0)

    def test_a_target_that_is_away_is_counted_not_fatal(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
            with running_feed() as (_, feed_url):
                driver = drive.Driver(
                    feed_url, f"http://127.0.0.1:{taken.getsockname()[1]}/predict", rate=50.0
                )
                line = driver.run(threading.Event(), 0.5, lambda _: None, settle_s=0.0)
        self.assertGreater(line["failed"], 5)
        self.assertEqual(line["failed"], line["sent"])
        self.assertIn("refused", line["last_error"])


class Process(unittest.TestCase):
    """The command as a container runs it."""

    def start(self, command, folder, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "departures", *command],
            env={**os.environ, "PERENNIAL_RESULT_PATH": os.path.join(folder, "message"), **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        return process

    def model_file(self, folder):
        path = os.path.join(folder, "model.json")
        with open(path, "wb") as stream:
            stream.write(trained())
        return path

    def test_a_digest_mismatch_ends_serving_with_the_reason(self):
        with tempfile.TemporaryDirectory() as folder:
            process = self.start(
                ["serve", "--port", "0"], folder,
                MODEL_URI=self.model_file(folder), MODEL_DIGEST="sha256:" + "0" * 64,
            )
            _, errors = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 1)
            self.assertIn("digest mismatch", errors)
            with open(os.path.join(folder, "message"), encoding="utf-8") as stream:
                self.assertIn("digest mismatch", stream.read())

    def test_after_sigterm_it_serves_on_while_not_ready_and_then_ends_well(self):
        with tempfile.TemporaryDirectory() as folder:
            process = self.start(
                ["serve", "--port", "0"], folder,
                MODEL_URI="file://" + self.model_file(folder), MODEL_VERSION="v7",
                MODEL_DIGEST="sha256:" + artifacts.hex_digest(trained()), DRAIN_SECONDS="4",
            )
            ready = json.loads(process.stdout.readline())
            self.assertEqual((ready["event"], ready["version"]), ("ready", "v7"))
            url = f"http://127.0.0.1:{ready['port']}"
            self.assertEqual(ask(f"{url}/v2/health/ready")[0], 200)
            kept = http.client.HTTPConnection("127.0.0.1", ready["port"], timeout=5)
            kept.request("POST", "/predict", json.dumps(TRIP))
            self.assertEqual(kept.getresponse().read()[:1], b"{")

            process.send_signal(signal.SIGTERM)
            until(lambda: ask(f"{url}/v2/health/ready")[0] == 503)
            self.assertEqual(ask(f"{url}/v2/health/live")[0], 200)
            kept.request("POST", "/predict", json.dumps(TRIP))
            response = kept.getresponse()
            response.read()
            self.assertEqual((response.status, response.headers["Connection"]), (200, "close"))
            status, headers, _ = ask(f"{url}/predict", "POST", TRIP)
            self.assertEqual((status, headers["Connection"]), (200, "close"))
            self.assertIsNone(process.poll())
            self.assertEqual(process.wait(10), 0)

    def test_no_request_fails_while_a_server_drains(self):
        with tempfile.TemporaryDirectory() as folder, running_feed() as (_, feed_url):
            process = self.start(
                ["serve", "--port", "0"], folder,
                MODEL_URI=self.model_file(folder), DRAIN_SECONDS="2",
            )
            port = json.loads(process.stdout.readline())["port"]
            driver = drive.Driver(feed_url, f"http://127.0.0.1:{port}/predict", rate=200.0)
            timer = threading.Timer(0.5, process.send_signal, (signal.SIGTERM,))
            timer.start()
            line = driver.run(threading.Event(), 2.0, lambda _: None, settle_s=0.0)
            self.assertEqual(process.wait(10), 0)
        self.assertGreater(line["sent"], 200)
        self.assertEqual((line["failed"], line["retried"]), (0, 0), line)

    def test_the_feed_can_be_asked_from_its_own_container(self):
        with tempfile.TemporaryDirectory() as folder, running_feed() as (outside, url):
            process = self.start(
                ["call", "POST", "/world", '{"change": "timetable"}'], folder, FEED_URL=url
            )
            self.assertEqual(json.loads(process.communicate(timeout=20)[0])["change"], "timetable")
            self.assertEqual(outside.trips.change, "timetable")
            process = self.start(["call", "POST", "/world", "{}"], folder, FEED_URL=url)
            self.assertIn("timetable", process.communicate(timeout=20)[1])
            self.assertEqual(process.returncode, 1)

    def test_feed_and_driver_end_well_on_sigterm(self):
        with tempfile.TemporaryDirectory() as folder:
            outside = self.start(["feed", "--port", "0", "--folder", folder], folder)
            port = json.loads(outside.stdout.readline())["port"]
            driver = self.start(
                ["drive", "--report-every", "0.2"], folder,
                FEED_URL=f"http://127.0.0.1:{port}", TARGET_URL="http://127.0.0.1:1/predict",
            )
            self.assertFalse(json.loads(driver.stdout.readline())["final"])
            driver.send_signal(signal.SIGTERM)
            lines = driver.communicate(timeout=20)[0].splitlines()
            self.assertEqual(driver.returncode, 0)
            self.assertTrue(json.loads(lines[-1])["final"])
            outside.send_signal(signal.SIGTERM)
            self.assertEqual(outside.wait(10), 0)
