"""What .ci/schedules asks of the files in schedules/ beyond what their own checkers do.

    schedules.py kubernetes FILE    rules for rendered manifests that their schemas let pass
    schedules.py self-test FILE     breaks each rule once in such a file: each breach must be found
    schedules.py cron FILE          parses a file for /etc/cron.d
    schedules.py commands FOLDER    prints the arguments of every qsync that the schedules call, a line each
"""

import copy
import pathlib
import re
import subprocess
import sys

RETRIED = {11, 16}
NOT_RETRIED = {12, 13, 17, 18, 19}


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def pod_breaches(name, pod):
    """What holds for every pod, of jobs and nodes."""
    if pod.get("terminationGracePeriodSeconds") != 900:
        yield f"{name}: terminationGracePeriodSeconds is not 900"
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield f"{name}: runAsNonRoot is not set"
    for container in containers(pod):
        context = container.get("securityContext", {})
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{name}: the root file system of {container['name']} can be written"
        if context.get("allowPrivilegeEscalation") is not False or context.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{name}: {container['name']} has privileges"
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes | {"data"}:
                yield f"{name}: no volume {mount['name']}"


def policy_breaches(name, job):
    """Every exit code of qsync has its action."""
    actions = {}
    for rule in job.get("podFailurePolicy", {}).get("rules", []):
        codes = rule.get("onExitCodes")
        if codes is None:
            continue
        if codes["operator"] != "In" or 0 in codes["values"]:
            yield f"{name}: an exit code rule that an API server refuses"
        if codes.get("containerName") not in [c["name"] for c in job["template"]["spec"]["containers"]]:
            yield f"{name}: a rule for a container that is not there"
        for code in codes["values"]:
            actions.setdefault(code, rule["action"])
    if any(actions.get(code) not in ("Count", "Ignore") for code in RETRIED):
        yield f"{name}: 11 and 16 are not tried again"
    if any(actions.get(code) != "FailJob" for code in NOT_RETRIED):
        yield f"{name}: 12, 13, 17, 18 and 19 do not fail the job"


def cron_job_breaches(document):
    name, spec = document["metadata"]["name"], document["spec"]
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    if spec.get("concurrencyPolicy") != "Forbid":
        yield f"{name}: concurrencyPolicy is not Forbid"
    for key in ("timeZone", "startingDeadlineSeconds"):
        if key not in spec:
            yield f"{name}: no {key}"
    if pod.get("restartPolicy") != "Never":
        yield f"{name}: restartPolicy is not Never, so that podFailurePolicy is refused"
    state = [v for v in pod.get("volumes", []) if v["name"] == "state"]
    if not state or "persistentVolumeClaim" not in state[0]:
        yield f"{name}: the state, with the marker of a stopped node, does not outlive the pod"
    yield from cron_field_breaches(name, spec["schedule"].split())
    yield from policy_breaches(name, job)
    yield from pod_breaches(name, pod)


def breaches(documents):
    jobs = [d for d in documents if d["kind"] == "CronJob"]
    for document in documents:
        if document["kind"] == "CronJob":
            yield from cron_job_breaches(document)
        elif document["kind"] == "StatefulSet":
            yield from pod_breaches(document["metadata"]["name"], document["spec"]["template"]["spec"])
    if jobs and {d["metadata"]["name"] for d in jobs} != {"qsync-publish", "qsync-refresh", "qsync-thaw", "qsync-usage"}:
        yield "not the four jobs"


def load(path):
    import yaml  # only in the environment of kubernetes-validate

    return [d for d in yaml.safe_load_all(pathlib.Path(path).read_text()) if d]


def self_test(path):
    """A rule that finds nothing is no rule."""
    job = lambda d: d["spec"]["jobTemplate"]["spec"]
    pod = lambda d: job(d)["template"]["spec"]
    rules = lambda d: job(d)["podFailurePolicy"]["rules"]
    breaks = {
        "restartPolicy": lambda d: pod(d).update(restartPolicy="OnFailure"),
        "terminationGracePeriodSeconds": lambda d: pod(d).update(terminationGracePeriodSeconds=30),
        "concurrencyPolicy": lambda d: d["spec"].update(concurrencyPolicy="Allow"),
        "code 0": lambda d: rules(d)[1]["onExitCodes"]["values"].append(0),
        "16 not tried again": lambda d: rules(d)[1]["onExitCodes"]["values"].remove(16),
        "19 tried again": lambda d: rules(d)[2]["onExitCodes"]["values"].remove(19),
        "container": lambda d: rules(d)[2]["onExitCodes"].update(containerName="other"),
        "root file system": lambda d: pod(d)["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
        "capabilities": lambda d: pod(d)["containers"][0]["securityContext"].pop("capabilities"),
        "state": lambda d: next(v for v in pod(d)["volumes"] if v["name"] == "state").pop("persistentVolumeClaim"),
        "time zone": lambda d: d["spec"].pop("timeZone"),
        "schedule": lambda d: d["spec"].update(schedule="61 * * * *"),
    }
    documents = load(path)
    assert not list(breaches(documents)), "the file breaks a rule already"
    for name, change in breaks.items():
        broken = copy.deepcopy(documents)
        change(next(d for d in broken if d["metadata"]["name"] == "qsync-publish"))
        if not list(breaches(broken)):
            yield f"nothing found: {name}"


RANGES = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
FIELD = re.compile(r"(\*|(\d+)(-(\d+))?)(/(\d+))?")


def cron_field_breaches(where, fields):
    """Numbers, ranges, steps and lists, which every cron knows; no names."""
    if len(fields) != 5:
        yield f"{where}: {len(fields)} fields, expected 5"
    for field, (low, high) in zip(fields, RANGES):
        for part in field.split(","):
            match = FIELD.fullmatch(part)
            numbers = [int(n) for n in match.group(2, 4) if n] if match else []
            if not match or match.group(6) == "0" or any(not low <= n <= high for n in numbers) or numbers != sorted(numbers):
                yield f"{where}: {part} is no number from {low} to {high}, range or step"


def cron_breaches(path):
    text = pathlib.Path(path).read_text()
    if not text.endswith("\n"):
        yield "no newline at the end: cron leaves the last line out"
    # Names with a dot are not read in /etc/cron.d.
    if not re.fullmatch(r"[A-Za-z0-9_-]+", pathlib.Path(path).name):
        yield "a name that Debian's cron leaves out"
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#") or re.fullmatch(r"[A-Z]+=\S+", line):
            continue
        yield from cron_line_breaches(f"line {number}", line)


def cron_line_breaches(where, line):
    if line.startswith("@"):
        when, user, command = line.split(maxsplit=2)
        if when not in ("@reboot", "@daily", "@hourly"):
            yield f"{where}: {when}"
    else:
        *fields, user, command = line.split(maxsplit=6)
        yield from cron_field_breaches(where, fields)
    if user != "root":
        yield f"{where}: the user is {user}"
    # cron makes a line break of it.
    if "%" in command:
        yield f"{where}: a % that is not meant as one"
    if "|" in command or "RANDOM" in command:
        yield f"{where}: a pipe hides the exit code, and dash has no RANDOM"
    parsed = subprocess.run(["dash", "-n", "-c", command], capture_output=True, text=True, check=False)
    if parsed.returncode != 0:
        yield f"{where}: {parsed.stderr.strip()}"


def commands(folder):
    """The arguments of every qsync that is called, made concrete."""
    found = set()
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if not path.is_file() or path.suffix == ".md":
            continue
        for line in path.read_text().splitlines():
            if line.lstrip().startswith("#") and "qsync-" in line:
                continue
            called = re.search(r"(?:^Exec\w+=-?|^[^#]*?\b(?:root|exec|3) +)qsync ([a-z].*)|^ *args: \[((?:publish|head|thaw|check|usage).*)\]", line)
            if called:
                arguments = called.group(1) or called.group(2).replace(",", "")
                arguments = re.sub(r" [<>|;&].*", "", arguments).replace('"', "")
                found.add(re.sub(r"%I|\$\$QSYNC_CHANNEL", "kusama/rocksdb-pruned", arguments).replace("%i", "kusama"))
    return sorted(found)


def main(verb, path):
    if verb == "commands":
        print("\n".join(commands(path)))
        return
    found = list({"kubernetes": lambda p: breaches(load(p)), "self-test": self_test, "cron": cron_breaches}[verb](path))
    print("\n".join(found))
    sys.exit(1 if found else 0)


main(*sys.argv[1:])
