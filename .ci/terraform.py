"""What .ci/terraform asks of plans of terraform/ beyond what terraform and checkov do. A plan comes from `terraform test -json -verbose`.

    terraform.py runs LOG        the runs of such a test: what failed, and why
    terraform.py review LOG RUN  the questions of a reviewer, asked of the plan of one run
    terraform.py changes LOG     what is deleted or replaced when a deployment changes
    terraform.py self-test LOG   breaks each rule once in such plans: each breach must be found
    terraform.py toml LOG RUN    prints the configuration that a plan would give out
    terraform.py words FOLDER    every variable has a type, a description and a validation, and stands in the README, as every output does
"""

import json
import pathlib
import re
import sys

from terraform_breaks import unnoticed
from terraform_review import breaches, change_breaches


def messages(log):
    return [json.loads(line) for line in pathlib.Path(log).read_text().splitlines() if line.startswith("{")]


def plans(log):
    """The resources of each run's plan, by address."""
    found = {}
    for message in messages(log):
        if message["type"] == "test_plan":
            found[message["@testrun"]] = {change["address"]: change for change in message["test_plan"]["resource_changes"]}
    return found


def failures(log):
    log = messages(log)
    for message in log:
        if message["type"] == "diagnostic" and message["diagnostic"]["severity"] == "error":
            where = message.get("@testrun", message.get("@testfile", ""))
            yield f"{where}: {message['diagnostic']['summary']}: {message['diagnostic'].get('detail', '')}"
        elif message["type"] == "test_cleanup":
            yield f"not removed: {message['test_cleanup']}"
    summaries = [message["test_summary"] for message in log if message["type"] == "test_summary"]
    if [summary["status"] for summary in summaries] != ["pass"] or summaries[0]["passed"] == 0:
        yield f"terraform test did not pass: {summaries}"


def blocks(text, kind):
    """Blocks at the left margin, by name, as fmt writes them."""
    return {match.group(1): match.group(2) for match in re.finditer(rf'^{kind} "(\w+)" {{\n(.*?)^}}', text, re.M | re.S)}


def word_breaches(folder):
    folder = pathlib.Path(folder)
    readme = (folder / "README.md").read_text()
    yield from cost_breaches(readme)
    for path in sorted(folder.rglob("*.tf")):
        text = path.read_text()
        top = path.parent == folder / "modules/quicksync"
        for name, body in blocks(text, "variable").items():
            if not re.search(r"^  description +=", body, re.M) or not re.search(r"^  type +=", body, re.M):
                yield f"{path}: variable {name} has no type or no description"
            if top and not re.search(r"^  validation {", body, re.M) and not re.search(r"^  type +=\s+bool$", body, re.M):
                yield f"{path}: variable {name} takes whatever it is given"
            if top and not re.search(rf"^\| .*`{name}`.* \|", readme, re.M):
                yield f"README.md: no variable {name}"
        for name, body in blocks(text, "output").items():
            if not re.search(r"^  description +=", body, re.M):
                yield f"{path}: output {name} has no description"
            if top and not re.search(rf"^\| .*`{name}`.* \|", readme, re.M):
                yield f"README.md: no output {name}"
        for number, line in enumerate(text.splitlines(), 1):
            if "checkov:skip" in line and not re.fullmatch(r"\s*#checkov:skip=CKV2?_AWS_\d+:\S.{14,}", line):
                yield f"{path}:{number}: a check is left out without a reason"


def cost_breaches(readme):
    """The figures of the README follow from those beside them."""
    storage = round(107.374 * 0.023, 2)
    idle = 2 * storage + 16 * 0.10 + 0.50 + 16 * 0.30 + 4 * 0.30
    requests = 50 * 1024 * 1024
    parts = [9 * 1024 * 0.085, 40 * 1024 * 0.080, (requests - 10_000_000) / 10_000 * 0.0100, requests / 1000 * 0.0004]
    for figure in [storage, idle, *parts, idle + sum(round(part, 2) for part in parts)]:
        if f"{figure:,.2f}" not in readme:
            yield f"README.md: a cost of {figure:,.2f} is computed, and not written"


def toml(log, run):
    for message in messages(log):
        if message["type"] == "test_plan" and message["@testrun"] == run:
            return message["test_plan"]["output_changes"]["qsync_toml"]["after"]
    raise KeyError(run)


def main(verb, *arguments):
    if verb == "toml":
        print(toml(*arguments), end="")
        return
    found = list({
        "runs": failures,
        "review": lambda log, run: breaches(plans(log)[run], run),
        "changes": lambda log: change_breaches(plans(log)),
        "self-test": lambda log: unnoticed(plans(log)),
        "words": word_breaches,
    }[verb](*arguments))
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
