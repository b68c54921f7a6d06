"""Scenes of pods that come and go while clients ask, for a story that has models side by side."""

import http.client

import served
import story


class Capacity(served.Scenes):
    def scaled_down(self):
        """Two of three pods go, and then the last for one of a new template: every request has its answer."""
        # A gateway hears of the end of a pod late on a busy machine.
        model, first, crowd = self.begin("fewer", {"replicas": 3}, {"drain": "20s"})
        crowds = [crowd, *(self.crowd(model.host, pause=0.01) for _ in range(3))]
        before = sum(one.answers.total() for one in crowds)
        self.scale(model, first, 1)
        self.scale(model, first, 3)
        model.spec["template"]["metadata"] = {"annotations": {"example.org/changed": "yes"}}
        self.scale(model, first, 1)
        for one in crowds:
            self.assertEqual(one.failures, [])
            one.meets(first)
        self.assertGreater(sum(one.answers.total() for one in crowds) - before, 1000)

    def scale(self, model, version, replicas):
        """Waits until there are so many pods, none of them on its way out."""
        model.spec["replicas"] = replicas
        model.release("1")
        changed = model.spec["template"].get("metadata", {}).get("annotations")

        def there():
            pods = story.get("pods", namespace=self.space, selector=f"perennial.dev/model-version={version}")
            return len(pods) == replicas and all(
                story.condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
                and pod["metadata"].get("annotations") == changed for pod in pods)

        model.wait(f"{replicas} pods are left", there)

    def ahead(self):
        """Weight waits for the pods that it needs."""
        model, _, crowd = self.begin("ahead", {"replicas": 3, "rollout": {
            "steps": [{"weight": 30, "pause": True}, {"weight": 60, "pause": True}],
            "challengerReplicas": "Proportional"}})
        second = model.release("2-slow")
        model.wait_for_step(second, 0)
        self.assertEqual(len(model.pods(second)), 1)
        child = next(row["service"] for row in model.status()["variants"] if row["version"] == second)
        seen = []

        def moved():
            # The route first: pods only become ready meanwhile, not less.
            weight = self.backends("ahead")[child]
            pods = story.get("deployments.apps", child, self.space)["status"].get("readyReplicas", 0)
            seen.append((weight, pods))
            return weight == 60

        model.annotate("promote", f"{second}/1")
        model.wait("the weight follows", moved, show=lambda: seen)
        self.assertEqual(set(seen[:-1]), {(30, 1)} | ({(30, 2)} & set(seen)), "it stays, as long as the pods need")
        self.assertEqual(seen[-1], (60, 2))
        model.wait_for_step(second, 1)
        model.resume(second)
        model.wait_for_end(second, "Promoted")
        crowd.meets(second)
        self.assertEqual(len(model.pods(second)), 3)

    def falls_ill(self):
        """A challenger that is no longer ready gets nothing until it is well again, and its step goes on."""
        model, first, crowd = self.begin("ill", {"rollout": {
            "steps": [{"weight": 30, "pause": True}, {"weight": 60, "pause": True}]}})
        second = model.release("2")
        model.wait_for_step(second, 0)
        crowd.meets(first, second)
        pods = story.get("pods", namespace=self.space, selector=f"perennial.dev/model-version={second}")
        address = pods[0]["status"]["podIP"]
        self.assertEqual(crowd.failures, [])
        self.tell_pod(address, "/ill")
        model.wait("it gets nothing", lambda: model.weights()[second] == 0)
        self.lost_by_illness(crowd, first)
        self.assertEqual(model.weights()[first], 100)
        self.assertEqual([model.condition("Ready"), model.rollout()["step"]], ["True", 0])
        # Its endpoint goes before its Deployment counts it.
        model.wait("it is told", lambda: "0 of 1 pods ready" in model.status()["why"])
        self.tell_pod(address, "/well")
        model.wait_for_step(second, 0)
        crowd.meets(first, second)
        crowd = self.rests(model, first, second, crowd)
        model.resume(second)
        model.wait_for_end(second, "Promoted")
        crowd.meets(second)

    def lost_by_illness(self, crowd, champion):
        """Waits until the gateway sends nothing to who is ill: what it answered in its place until then is forgiven.

        It answers 503 for the weight of a backend without endpoints, as the Gateway API wants it, until it has heard
        that the weight is taken away. A hundred requests in a row don't miss 30 % by chance.
        """
        crowd.meets(champion, requests=100)
        lost = crowd.forgive()
        # 500 as long as Envoy has the route of before, and no endpoints for it any more.
        for failure in lost:
            self.assertRegex(failure, "AssertionError: status 50[03]$")
        print(f"{len(lost)} requests were lost from the illness of a pod until the gateway had followed", flush=True)

    def rests(self, model, first, second, crowd):
        """Scaled to zero in its second step, it loses nothing and goes on there. Returns who asks from then on."""
        model.annotate("promote", f"{second}/1")
        model.wait_for_step(second, 1)
        crowd.next(100)
        crowd.end()  # nobody will answer
        before, made = model.status(), self.made(model)
        champion = next(row["service"] for row in before["variants"] if row["version"] == first)
        story.kubectl("-n", self.space, "scale", "modeldeployment", model.name, "--replicas=0")
        model.wait("it rests", lambda: model.rollout().get("scaledToZero") and not model.pods(first)
                   and not model.pods(second), model.status)
        status = model.status()
        self.assertEqual(status["why"], "scaled to zero: the rollout goes on when spec.replicas is above 0")
        self.assertEqual([model.condition("Ready"), status["rollout"]["step"]], ["True", 1], "as somebody wanted it")
        model.wait("the champion alone is in the route", lambda: self.backends(model.name) == {champion: 100},
                   lambda: self.backends(model.name))
        # What ends serves on while it drains: whoever is answered by it is not served by what comes.
        story.wait_for("nobody answers", story.PATIENCE, lambda: not self.pods_of(model)
                       and not story.answers(self.address, "/ready", model.host), lambda: self.pods_of(model))
        story.kubectl("-n", self.space, "scale", "modeldeployment", model.name, "--replicas=1")
        crowd = self.crowd(model.host, pause=0.01)
        model.wait_for_step(second, 1)
        self.assertEqual(model.weights(), {first: 40, second: 60})
        crowd.wait_for_split(300, {first: 0.4, second: 0.6}, "after a rest")
        after = model.status()
        self.assertEqual(self.made(model), made)
        self.assertEqual([after["champion"], after["history"]], [before["champion"], before["history"]])
        self.assertEqual([after["rollout"][field] for field in ("version", "champion", "started")],
                         [before["rollout"][field] for field in ("version", "champion", "started")])
        model.wait("what happened again is counted", lambda: any(
            event.get("series", {}).get("count", 0) > 1 and event["reason"] == "WeightChanged"
            for event in story.get("events.events.k8s.io", namespace=self.space)
            if event["regarding"]["name"] == model.name))
        return crowd

    def pods_of(self, model):
        """Returns the names of a model's pods, with those that are on their way out."""
        return [pod["metadata"]["name"] for pod in story.get(
            "pods", namespace=self.space, selector=f"perennial.dev/model-deployment={model.name}")]

    def made(self, model):
        """Returns the UIDs of a model's versions and of their Deployments."""
        return {one["metadata"]["uid"] for kind in ("deployments.apps", "modelversions.perennial.dev")
                for one in story.get(kind, namespace=self.space,
                                     selector=f"perennial.dev/model-deployment={model.name}")}

    @staticmethod
    def tell_pod(address, path):
        connection = http.client.HTTPConnection(address, 8080, timeout=30)
        connection.request("GET", path)
        if connection.getresponse().status != 200:
            raise AssertionError(path)
        connection.close()
