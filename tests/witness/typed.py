"""The compiler of the vendor's language as a judge: do answers fit the types that the vendor's client declares."""

import json
import random
import re
import subprocess
from collections import defaultdict

from tests.witness.client import HERE
from tests.witness.disagreements import ABSENT, MORE

BYTES = {"content.file.readBytes"}
"""Methods that give bytes, which have no shape to hold against a type."""
MOST_TEXT = 250_000
"""How many characters of answers of one method are held against its types; the calls are drawn from all."""

COMPILER = {
    "strict": True,
    "noEmit": True,
    "skipLibCheck": True,
    "target": "es2022",
    "lib": ["es2022", "dom"],
    "module": "esnext",
    "moduleResolution": "bundler",
    "types": [],
    # The folder that is compiled lies elsewhere.
    "paths": {"@cargo-ai/api": [str(HERE / "node_modules/@cargo-ai/api/build/src/index.d.ts")]},
}


def mismatches(answers, folder):
    """Compile arguments and answers of calls; give complaints by method, and the exceptions that were needed."""
    by_method = defaultdict(list)
    for each in answers:
        if each.method not in BYTES:
            by_method[each.method].append(each)
    writer = Writer()
    for method, calls in by_method.items():
        (folder / f"{method}.ts").write_text(source(method, calls, writer))
    config = {"compilerOptions": COMPILER, "include": ["*.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    return complaints(folder), writer.used


HEAD = """
import type { Api } from "@cargo-ai/api";

// Null and absent are one (the client makes undefined of both), so that a field which may be undefined may be absent.
type MayBeAbsent<T> = { [K in keyof T as undefined extends T[K] ? K : never]?: NullIsAbsent<T[K]> };
type Present<T> = { [K in keyof T as undefined extends T[K] ? never : NoCode<T[K], K>]: NullIsAbsent<T[K]> };
// What is a function on the vendor's side became an empty object in the client's types, and no answer holds it.
type NoCode<T, K> = [keyof T] extends [never] ? ({} extends T ? never : K) : K;
type NullIsAbsent<T> = unknown extends T ? T
  : T extends Array<infer Item> ? Array<NullIsAbsent<Item>>
  : T extends object ? MayBeAbsent<T> & Present<T>
  : T;
"""


def source(method, calls, writer):
    """Write calls as constants of the types that the client declares for them."""
    place = "".join(f'["{name}"]' for name in method.split("."))
    lines = [HEAD, f"type Method = Api{place};", "type Answer = NullIsAbsent<Awaited<ReturnType<Method>>>;"]
    left = MOST_TEXT
    for number, call in enumerate(random.Random(7).sample(calls, len(calls))):
        answer = writer.literal(call.answer, method)
        lines.append(f"export const args{number}: Parameters<Method> = {json.dumps(call.args)};")
        lines.append(f"export const answer{number}: Answer = {answer};")
        left -= len(answer)
        if left < 0:
            break
    return "\n".join(lines)


class Writer:
    """Writes values in the client's language, without keys that are null; notes which exceptions it has made."""

    def __init__(self):
        self.used = set()

    def literal(self, value, place):
        """Write the value of a place: the method and the names of the keys that lead there."""
        if isinstance(value, dict):
            fields = [f"{json.dumps(key)}: {each}" for key, each in self._fields(value, place)]
            return f"{{{', '.join(fields)}}}"
        if isinstance(value, list):
            return f"[{', '.join(self.literal(each, place) for each in value)}]"
        return "undefined" if value is None else json.dumps(value)

    def _fields(self, value, place):
        for key, each in value.items():
            if each is not None and not self._excepted(MORE, place, key):
                yield key, self.literal(each, f"{place}.{key}")
        for key in {key for _, key in ABSENT}:
            if value.get(key) is None and self._excepted(ABSENT, place, key):
                # Fits any type, so that only the absence of this key goes unjudged.
                yield key, "undefined as never"

    def _excepted(self, table, place, key):
        found = [each for each in table if each[1] == key and re.fullmatch(each[0], place)]
        self.used.update(found)
        return bool(found)


def complaints(folder):
    done = subprocess.run(
        ["node", HERE / "node_modules/typescript/bin/tsc", "--pretty", "false", "-p", folder],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    found = defaultdict(list)
    for line in done.stdout.splitlines():
        if place := re.match(r"(\S+)\.ts\(\d+,\d+\): error (.*)", line):
            method, text = place.groups()
            found[method].append(text)
        else:
            found[method][-1] += f" {line.strip()}"
    assert bool(found) == bool(done.returncode), done.stdout + done.stderr
    return dict(found)
