"""Every numbered example is applied as a user would, and comes up."""

from pathlib import Path

from tests.e2e.lab import Lab, eventually


def test_01_web_is_divided_by_weights_with_an_image_per_region(lab: Lab, repository: Path) -> None:
    file = str(repository / "examples" / "01-web-weights")
    lab.hub.run("apply", "-f", file)
    try:
        eventually(lambda: lab.hub.settled("Deployment", "web", "example-web"))
        assert lab.hub.targets("Deployment", "web", "example-web") == {"member1": 1, "member2": 2, "member3": 3}
        for number, registry in ((1, "eu.example.test"), (2, "eu.example.test"), (3, "us.example.test")):
            spec = lab.member(number).get("deployment", "web", "example-web")["spec"]["template"]["spec"]
            assert spec["containers"][0]["image"] == f"{registry}/web:1.0"
    finally:
        lab.hub.run("delete", "-f", file)


def test_02_a_config_map_is_everywhere(lab: Lab, repository: Path) -> None:
    file = str(repository / "examples" / "02-config-everywhere")
    lab.hub.run("apply", "-f", file)
    try:
        for number in (1, 2, 3):
            eventually(lambda number=number: lab.member(number).get("configmap", "settings", "example-config"))
    finally:
        lab.hub.run("delete", "-f", file)


def test_03_a_custom_resource_follows_its_crd(lab: Lab, repository: Path) -> None:
    folder = repository / "examples" / "03-custom-resource"
    for number in (1, 2, 3):
        name = f"member{number}"
        lab.fedctl("allow", name, "customresourcedefinitions", "--kubeconfig", str(lab.members[name].kubeconfig))
    lab.hub.run("apply", "-f", str(folder / "1-crd.yaml"))
    lab.hub.served("greetings.example.test")
    for number in (1, 2, 3):
        eventually(lambda number=number: lab.member(number).get("crd", "greetings.example.test"))
        name = f"member{number}"
        lab.member(number).run("wait", "--for=condition=Established", "crd/greetings.example.test", "--timeout=20s")
        lab.fedctl("allow", name, "greetings.example.test", "--kubeconfig", str(lab.members[name].kubeconfig))
    lab.hub.run("apply", "-f", str(folder / "2-greeting.yaml"))
    try:
        for number in (1, 2):
            eventually(lambda number=number: lab.member(number).every("greetings.example.test"), within=60)
        assert set(lab.hub.targets("Greeting", "hello", "example-greeting", "example.test")) == {"member1", "member2"}
        eventually(lambda: lab.hub.settled("Greeting", "hello", "example-greeting", "example.test"))
        assert lab.member(3).every("greetings.example.test") == [], "the policy asks for region eu"
    finally:
        lab.hub.run("delete", "-f", str(folder / "2-greeting.yaml"))
        eventually(lambda: not [one for one in lab.hub.every("rb") if one["spec"]["resource"]["kind"] == "Greeting"])
        lab.hub.run("delete", "-f", str(folder / "1-crd.yaml"), "--wait=false")
        eventually(lambda: not lab.hub.every("crb"))


def test_04_a_workload_is_at_home_while_home_can_take_it(lab: Lab, repository: Path) -> None:
    file = str(repository / "examples" / "04-affinity-groups")
    lab.hub.run("apply", "-f", file)
    try:
        eventually(lambda: lab.hub.settled("Deployment", "web", "example-groups"))
        assert set(lab.hub.targets("Deployment", "web", "example-groups")) == {"member1", "member2"}
        assert lab.hub.status("Deployment", "web", "example-groups")["decision"]["affinity"] == "home"
    finally:
        lab.hub.run("delete", "-f", file)


def test_05_a_policy_takes_an_object_once_its_override_is_there(lab: Lab, repository: Path) -> None:
    file, place = str(repository / "examples" / "05-policies"), "example-policies"
    lab.hub.run("apply", "-f", file)
    try:
        banner = eventually(lambda: lab.member(2).get("configmap", "banner", place))
        assert banner["data"] == {"text": "hello from member2"}
        eventually(lambda: lab.member(1).get("configmap", "motd", place))
        eventually(lambda: lab.member(1).get("configmap", "banner", place) is None)
        status = eventually(
            lambda: (lab.hub.get("pp", "default", place).get("status") or {}).get("lost") or None, within=20
        )
        assert status == [
            f"ConfigMap {place}/banner: PropagationPolicy banner takes it with preemption: Always: its priority 1 is above 0"
        ]
    finally:
        lab.hub.run("delete", "-f", file)


def test_06_a_pull_request_is_planned_against_the_hub(lab: Lab, repository: Path) -> None:
    folder = repository / "examples" / "06-plan"
    main, change = str(folder / "main"), str(folder / "pull-request")
    lab.hub.run("apply", "-f", main)
    try:
        eventually(lambda: lab.hub.settled("Deployment", "web", "example-plan"))
        text = lab.fedctl("plan", "-f", change, "--was", main, "--brake-objects=1000", fails=1)
        for line in ("member1: restart 2 -> 2", "member2: delete 2 -> 0", "member3: create 0 -> 2"):
            assert line in text
        assert (
            "spec.template.spec.containers[web].image: registry.example.test/web:1.0 -> registry.example.test/web:2.0"
            in text
        )
        assert "Nothing changes" in lab.fedctl("plan", "-f", main)
    finally:
        lab.hub.run("delete", "-f", main)
