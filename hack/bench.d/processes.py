"""A controller, and what the kernel says about it and about the machine."""
import bisect
import http.client
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_of(pid, field):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024


def busy_seconds():
    """Of all processors."""
    fields = pathlib.Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq = (int(field) for field in fields[:7])
    return (user + nice + system + irq + softirq) / TICKS


def control_plane(folder):
    """The pids of a cluster's API server and etcd, by the cluster's folder that they name."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        name = os.path.basename(command[0].decode(errors="replace"))
        if name in ("etcd", "kube-apiserver") and any(os.fsencode(str(folder) + "/") in word
                                                      for word in command):
            found[name] = int(path.name)
    return found


class Load:
    """CPU seconds of the control plane, and of everything that is not part of the measurement."""

    def __init__(self, folder, process):
        self.folder = folder
        self.process = process
        self.begin = self.now()

    def now(self):
        plane = {name: cpu_of(pid) for name, pid in control_plane(self.folder).items()}
        children = os.times()
        ours = children.user + children.system + self.process.cpu() + sum(plane.values())
        return time.monotonic(), busy_seconds() - ours, plane

    def since(self):
        """(CPU seconds by component, processors that others kept busy)."""
        then, others, plane = self.begin
        moment, others_now, plane_now = self.now()
        return ({name: plane_now[name] - plane.get(name, 0) for name in plane_now},
                max(0.0, (others_now - others) / (moment - then)))


class Process:
    """Sampled twice a second, so that one can say later what it had used at a moment."""

    def __init__(self, command, log, health_port):
        self.health_port = health_port
        self.log = open(log, "ab")  # pylint: disable=consider-using-with
        self.started = time.time()
        # Not to outlive a harness that is killed.
        command = ["setpriv", "--pdeathsig", "TERM", *command]
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self.samples = []  # (time, CPU seconds, RSS in MB)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()

    def sample(self):
        while not self.done.wait(0.5):
            try:
                self.samples.append((time.time(), self.cpu(), self.memory("VmRSS")))
            except (OSError, TypeError):
                return

    def cpu(self):
        return cpu_of(self.process.pid)

    def cpu_at(self, moment):
        place = bisect.bisect_left(self.samples, (moment,))
        return self.samples[min(place, len(self.samples) - 1)][1]

    def memory(self, field):
        return memory_of(self.process.pid, field)

    def opened(self):
        """How many threads, and how many files."""
        return tuple(len(os.listdir(f"/proc/{self.process.pid}/{what}")) for what in ("task", "fd"))

    def ready(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=2)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def wait_ready(self):
        while not self.ready():
            if not self.alive():
                raise RuntimeError("the controller ended before it was ready")
            time.sleep(0.05)
        return time.time() - self.started

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Returns how many seconds its end took."""
        self.done.set()
        self.thread.join()
        begin = time.monotonic()
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.log.close()
        return time.monotonic() - begin


def metric(port, name):
    """The sum of a metric's series on the controller's own page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
    return sum(float(value) for value in values)
