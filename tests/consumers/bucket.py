"""Shares a cache through a real S3 server (moto), which this starts on 127.0.0.1: what one machine has made, others take.

    python bucket.py DATAC FOLDER

DATAC was compiled with `--features bucket`. Ten machines publish at once into one bucket; another one then runs nothing and has the same
bytes. The server checks each signature, and permits no more than the policy in docs/remote-cache.md does; who only reads has less.
What the server lists is compared with what datac says of it. Then rows are read from the bucket: by pins on a second machine, and not once
an object has changed. Last, outputs are pushed: one file in parts, by two machines at once, and not by who may not; and they are pulled.
"""

import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

MACHINES, ROWS = 10, 3_000
DOCS = pathlib.Path(__file__).parents[2] / "docs/remote-cache.md"


class Machine:
    def __init__(self, datac, folder, endpoint, user, key):
        self.datac, self.folder, self.key, self.secret = datac, folder, key, user["SecretAccessKey"]
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("DATAC_", "AWS_", "HF_"))}
        self.environment |= {
            "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": user["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": self.secret,
            "DATAC_REMOTE": "s3://team/datac/cache", "DATAC_CACHE_KEY": key, "HOME": str(folder),
        }
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("config", "data"):
            (folder / name).mkdir(parents=True)

    def source(self, number):
        lines = [json.dumps({"instruction": f"{number}.{n} " + "why " * 20, "input": "", "output": f"{n} " + "so " * 60}) for n in range(ROWS)]
        (self.folder / "data" / f"{number}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        (self.folder / "config" / f"r{number}.yaml").write_text(
            f"metadata: {{ phase: sft }}\ndatasets:\n  - {{ name: own, source: data/{number}.jsonl, mix_ratio: 1.0 }}\n"
            "validation: { ratio: 0.1, seed: 1 }\n", "utf-8")

    def run(self, *arguments, code=0):
        command = [self.datac, "-C", str(self.folder), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert self.secret not in done.stdout + done.stderr, "the secret is printed"
        return done

    def build(self):
        done = self.run("build", "--json", "--hub", "sample")
        return json.loads(done.stdout), done.stderr


def outputs(machine):
    folder = machine.folder / "dataset"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main():
    datac, folder = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        root = {"endpoint_url": endpoint, "region_name": "us-east-1", "aws_access_key_id": "root", "aws_secret_access_key": "root"}
        client, iam = boto3.client("s3", **root), boto3.client("iam", **root)
        client.create_bucket(Bucket="team")
        policy = DOCS.read_text("utf-8").split("```json\n")[1].split("```")[0].replace("BUCKET", "team").replace("FOLDER", "datac/cache")
        less = policy.replace('"s3:GetObject", "s3:PutObject", "s3:DeleteObject"', '"s3:GetObject"')
        assert less != policy
        writes, reads = user_of(iam, "writes", policy), user_of(iam, "reads", less)
        admin = user_of(iam, "admin", json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
        # From now on, whoever asks must be one of them.
        request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request).close()
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=admin["AccessKeyId"], aws_secret_access_key=admin["SecretAccessKey"])
        shared(datac, folder, endpoint, client, admin, writes, reads)
        sources(datac, folder, endpoint, client, reads)
        pushes(datac, folder, endpoint, client, admin, writes, reads)
    finally:
        server.stop()


def user_of(iam, name, policy):
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    return iam.create_access_key(UserName=name)["AccessKey"]


def listed(client):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="team")
    return [found for page in pages for found in page.get("Contents", [])]


def shared(datac, folder, endpoint, client, admin, writes, reads):
    maker = Machine(datac, folder / "maker", endpoint, reads, "")
    public = maker.run("cache", "key", "new", "--name", "team").stdout.split()[-1]
    key = (maker.folder / ".config/datac/cache.key").read_text().strip()

    machines = [Machine(datac, folder / f"m{number}", endpoint, writes, key) for number in range(MACHINES)]
    for number, machine in enumerate(machines):
        for more in range(4):
            machine.source(number * 4 + more)
    reports = [None] * MACHINES

    def build(number):
        reports[number] = machines[number].build()

    threads = [threading.Thread(target=build, args=(number,)) for number in range(MACHINES)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for report, said in reports:
        assert report["shared"]["published_results"] > 0 and "warning" not in said, said
    requests = {kind: sum(report["shared"]["requests"][kind] for report, _ in reports) for kind in ("reads", "writes", "received_bytes", "sent_bytes")}
    print(f"{MACHINES} machines published at once: {requests}")

    # One that trusts the key and has all their recipes.
    reader = Machine(datac, folder / "reader", endpoint, reads, "")
    for number in range(MACHINES * 4):
        reader.source(number)
    reader.run("cache", "key", "trust", "team", public)
    report, said = reader.build()
    assert report["actions"] == {} and "warning" not in said, (report["actions"], said)
    refused = report["shared"]["refused"]
    assert not any(refused.values()), refused
    made = {name: content for machine in machines for name, content in outputs(machine).items()}
    assert len(made) >= MACHINES * 8 and outputs(reader) == made
    print(f"another one ran nothing and has the same bytes: {report['shared']['requests']}")

    objects = listed(client)
    size = json.loads(machines[0].run("cache", "size", "--remote", "--json").stdout)
    count = sum(size[part]["count"] for part in ("packs", "artifacts", "index", "others"))
    assert count == len(objects) and sum(size[part]["bytes"] for part in ("packs", "artifacts", "index", "others")) == sum(o["Size"] for o in objects)
    verified = json.loads(machines[0].run("cache", "verify", "--remote", "--json").stdout)
    assert verified["damaged"] == [] and not any(verified["refused"].values()), verified
    print(f"{count} objects are listed and intact")

    # A blob with other bytes is refused and counted; whoever may write puts it right.
    blob = next(found["Key"] for found in objects if "/blob/" in found["Key"])
    client.put_object(Bucket="team", Key=blob, Body=b"rubbish")
    for folders in ("cache", "dataset"):
        shutil.rmtree(reader.folder / folders)
    report, said = reader.build()
    assert report["shared"]["refused"]["artifacts"] == 1 and report["actions"], report["shared"]
    assert outputs(reader) == made
    print("a poisoned artifact is refused")

    # moto asks for a permission to remove several objects at once, which S3 does not have.
    machines[0].environment |= {"AWS_ACCESS_KEY_ID": admin["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": admin["SecretAccessKey"]}
    machines[0].run("cache", "gc", "--remote", "--max-age", "0")
    left = [found["Key"] for found in listed(client) if "/pack/" in found["Key"] or "/blob/" in found["Key"]]
    assert left == [], left
    print("all that was published is removed")

    for user, remote, words in (
        (admin, "s3://gone/cache", "there is no such bucket"),
        (writes, "s3://team/elsewhere", "access denied (AccessDenied)"),
        (reads, "s3://team/datac/cache", "access denied (AccessDenied)"),
        ({**writes, "SecretAccessKey": "wrong"}, "s3://team/datac/cache", "the credentials are not accepted (SignatureDoesNotMatch)"),
        ({"AccessKeyId": "AKIANOBODY", "SecretAccessKey": "wrong"}, "s3://team/datac/cache", "the credentials are not accepted (InvalidAccessKeyId)"),
    ):
        stranger = Machine(datac, folder / "stranger", endpoint, user, key)
        stranger.source(0)
        stranger.environment["DATAC_REMOTE"] = remote
        report, said = stranger.build()
        assert said.count("warning") == 1 and words in said, (words, said)
        assert outputs(stranger) == {name: content for name, content in made.items() if name.startswith("sft_r0_")}
    print("whoever may not costs a warning each")


def sources(datac, folder, endpoint, client, reads):
    lines = [json.dumps({"instruction": f"Why {n}?", "input": "", "output": f"So {n}. " + "so " * 300}) + "\n" for n in range(20_000)]
    put = lambda name, part: client.put_object(Bucket="team", Key=f"datac/cache/rows/{name}.jsonl", Body="".join(part).encode())
    put("a", lines[:15_000]), put("b b+é", lines[15_000:])
    reader = Machine(datac, folder / "from-bucket", endpoint, reads, "")
    reader.environment.pop("DATAC_REMOTE")
    (reader.folder / "config/r.yaml").write_text(
        "metadata: { phase: sft }\ndatasets:\n  - { name: own, source: 's3://team/datac/cache/rows/*.jsonl' }\n", "utf-8")
    report, said = reader.build()
    assert sum(report["actions"].values()) > 0, report
    lock = (reader.folder / "datac.lock").read_text("utf-8")
    heads = {key: client.head_object(Bucket="team", Key=f"datac/cache/rows/{key}.jsonl") for key in ("a", "b b+é")}
    assert all(head["ETag"] in lock and f"size: {head['ContentLength']}" in lock for head in heads.values()), lock
    made = b"".join(outputs(reader)[name] for name in sorted(outputs(reader)) if name.endswith(".jsonl") and "quarantine" not in name)
    assert made.count(b"\n") == len(lines)

    second = Machine(datac, folder / "from-bucket-2", endpoint, reads, "")
    second.environment.pop("DATAC_REMOTE")
    for name in ("config/r.yaml", "datac.lock"):
        shutil.copy(reader.folder / name, second.folder / name)
    second.run("build", "--locked")
    assert outputs(second) == outputs(reader)
    print(f"{sum(head['ContentLength'] for head in heads.values())} bytes in 2 objects are pinned, and the same on a second machine")

    put("a", lines[:100])
    third = Machine(datac, folder / "from-bucket-3", endpoint, reads, "")
    third.environment.pop("DATAC_REMOTE")
    for name in ("config/r.yaml", "datac.lock"):
        shutil.copy(reader.folder / name, third.folder / name)
    said = third.run("build", "--locked", code=4).stderr
    assert "rows/a.jsonl`: the bucket has another object of this name" in said, said
    reader.run("build", "--locked")
    third.run("lock", "--upgrade")
    third.run("build", "--locked")
    print("an object that has changed is refused, and taken once the pin is moved")


def current(client, recipe):
    """Returns what a recipe is, as a program elsewhere finds it: its version, and its files by their names in the workspace."""
    at = f"datac/cache/out/{recipe}/"
    get = lambda key: client.get_object(Bucket="team", Key=key)["Body"].read()
    document = json.loads(get(at + "current.json"))
    files = {file["output"]: get(at + file["path"]) for file in document["files"]}
    assert all(len(files[file["output"]]) == file["bytes"] for file in document["files"])
    return document["version"], files


def pushes(datac, folder, endpoint, client, admin, writes, reads):
    to = "s3://team/datac/cache/out"
    machines = [Machine(datac, folder / f"push{number}", endpoint, writes, "") for number in range(2)]
    for number, machine in enumerate(machines):
        machine.environment.pop("DATAC_REMOTE")
        lines = [json.dumps({"instruction": f"Why {n}?", "input": "", "output": f"So {n} {number}. " + "so " * 300}) + "\n" for n in range(20_000)]
        (machine.folder / "data/large.jsonl").write_text("".join(lines), "utf-8")
        (machine.folder / "config/large.yaml").write_text(
            "metadata: { phase: sft }\ndatasets:\n  - { name: own, source: data/large.jsonl }\nvalidation: { ratio: 0.1, seed: 1 }\n"
            "output: [native, { shape: trl, container: parquet, layout: hub }]\n", "utf-8")
        machine.run("build", "--quiet")
    first, second = machines
    own = lambda machine: {name: content for name, content in outputs(machine).items() if "quarantine" not in name}
    assert max(map(len, own(first).values())) > 8 << 20
    report = lambda machine, *more: json.loads(machine.run("push", to, "--json", *more).stdout)

    pushed = report(first)
    version, files = current(client, "config/large")
    assert files == own(first) and version == pushed["recipes"][0]["version"]
    assert client.list_multipart_uploads(Bucket="team").get("Uploads", []) == []
    print(f"{sum(map(len, files.values()))} bytes in {len(files)} files are pushed: {pushed['requests']}")

    again = report(first)
    assert again["requests"]["writes"] == 0 and not again["recipes"][0]["is_new"]
    print(f"again: {again['requests']}")

    rows = first.folder / "data/large.jsonl"
    rows.write_text(rows.read_text("utf-8").replace("Why 7?", "Why seven?"), "utf-8")
    first.run("push", to, code=1)
    first.run("build", "--quiet")
    edited = report(first)
    sent = [file["path"].partition("/")[2] for file in edited["recipes"][0]["files"] if file["is_new"]]
    assert current(client, "config/large")[1] == own(first) and edited["recipes"][0]["before"] == version
    print(f"one row edited: {sent} sent, {edited['requests']}")

    codes, late = [], 0
    for _ in range(6):
        running = [subprocess.Popen([datac, "-C", str(machine.folder), "push", to], env=machine.environment, stderr=subprocess.PIPE) for machine in machines]
        said = [process.communicate()[1].decode() for process in running]
        codes = [process.returncode for process in running]
        assert 0 in codes and set(codes) <= {0, 1}, (codes, said)
        assert all("somebody else has pushed it meanwhile" in text for code, text in zip(codes, said) if code), said
        late += codes.count(1)
        assert current(client, "config/large")[1] in (own(first), own(second))
    print(f"two machines pushed at once, 6 times: {late} were late, and what is there is that of one of them")

    report(first)
    reader = Machine(datac, folder / "pull", endpoint, reads, "")
    reader.environment.pop("DATAC_REMOTE")
    reader.run("pull", f"{to}/config/large")
    assert own(reader) == own(first)
    for user, address, words in (
        (reads, to, "access denied (AccessDenied)"), (writes, "s3://team/elsewhere", "access denied"), (admin, "s3://gone/x", "there is no such bucket")
    ):
        second.secret = user["SecretAccessKey"]
        second.environment |= {"AWS_ACCESS_KEY_ID": user["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": user["SecretAccessKey"]}
        said = second.run("push", address, code=3).stderr
        assert words in said, said
    assert current(client, "config/large")[1] == own(first)
    print("pulled with the same bytes by who only reads; whoever may not push is told so")


main()
