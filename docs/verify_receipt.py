#!/usr/bin/env python3
"""Verifies receipts of Shoal of either kind, and chain files: verify_receipt.py PUBLIC_KEY FILE...
Needs Python 3.11 and nothing else; docs/receipts.md has the format. A receipt after a chain must be in the chain."""
import bisect, hashlib, json, re, sys
P, L, PART_FILES = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493, 4000
D = -121665 * pow(121666, -1, P) % P
def need(holds, reason):
    if not holds: raise ValueError(reason)
def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()
def dumps(value): return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
def add(a, b):  # RFC 8032, section 5.1.4
    s, t = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    c, z = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = t - s, z - c, z + c, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P
def times(n, p, total=(0, 1, 1, 0)):
    while n: total, p, n = add(total, p) if n & 1 else total, add(p, p), n >> 1
    return total
def same(a, b): return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0
def point(data):  # RFC 8032, section 5.1.3, and no point of small order
    y, sign = int.from_bytes(data, "little") & (2**255 - 1), data[31] >> 7
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    x = x if x * x % P == xx else x * pow(2, (P - 1) // 4, P) % P
    need(y < P and x * x % P == xx and (x or not sign), "no point of the curve")
    x = P - x if x % 2 != sign else x
    need(not same(times(8, (x, y, 1, x * y % P)), (0, 1, 1, 0)), "a point of small order")
    return x, y, 1, x * y % P
def is_signed(key, message, signature):  # RFC 8032, section 5.1.7
    base, s = point((4 * pow(5, -1, P) % P).to_bytes(32, "little")), int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    return s < L and same(times(s, base), add(point(signature[:32]), times(k, point(key))))
def read_line(line, key):
    end = re.search(r',"sig":"([0-9a-f]{128})"}\Z', line)
    body = line[:end.start()] + "}"
    need(is_signed(key, b"Shoal receipt entry 1\n" + body.encode(), bytes.fromhex(end[1])), "the signature is not the key's")
    entry = json.loads(body)
    need(entry["v"] == 1 and entry["key"] == sha256(b"Shoal receipt key 1\n", key)[:8].hex(), "another version or key")
    return entry
def root(low, high, leaves, nodes):  # RFC 6962, section 2.1; a hash stands for each largest subtree without a shown leaf
    if not leaves or leaves[0][0] >= high:
        return bytes.fromhex(nodes.pop(0))
    if high - low == 1:
        return sha256(b"\0", "{1}\n{2}".format(*leaves.pop(0)).encode())
    middle = low + (1 << (high - low - 1).bit_length() - 1)
    return sha256(b"\1", root(low, middle, leaves, nodes), root(middle, high, leaves, nodes))
def check_proof(proof, state):
    leaves, nodes = list(proof["leaves"]), list(proof["nodes"])
    need(all(a[0] < b[0] and a[1].encode() < b[1].encode() for a, b in zip(leaves, leaves[1:])), "leaves out of order")
    made = root(0, state["files"], leaves, nodes) if state["files"] else sha256()
    need(made.hex() == state["root"] and not leaves and not nodes, "a proof does not lead to the root")
def check_part(number, text, opened):
    removed, tables, count = opened["removed"], json.loads(text), 0
    need(1 <= number <= len(removed["parts"]) == max(1, -(-removed["files"] // PART_FILES)), "there is no such part")
    need(sha256(b"Shoal receipt part 1\n", text.encode()).hex() == removed["parts"][number - 1], "another list of files")
    need(all(a["table"] < b["table"] for a, b in zip(tables, tables[1:])), "the tables are out of order")
    for name, before, after in ((table["table"], table["before"], table["after"]) for table in tables):
        check_proof(before, opened[f"table.{name}.before"]), check_proof(after, opened[f"table.{name}.after"])
        paths = [leaf[1].encode() for leaf in after["leaves"]]
        places = [-1, *(leaf[0] for leaf in after["leaves"]), opened[f"table.{name}.after"]["files"]]
        for path in (leaf[1].encode() for leaf in before["leaves"]):
            i, count = bisect.bisect_left(paths, path), count + 1
            need(paths[i:i + 1] != [path] and places[i] + 1 == places[i + 1], "a removed file may still be there")
    need(count == max(0, min(PART_FILES, removed["files"] - (number - 1) * PART_FILES)), "a list of another length")
    return f"part {number} of {len(removed['parts'])}: {count} files were there before and are not there after\n"
def check_document(text, key, lines):
    document = json.loads(text.removesuffix("\n"))
    kind, line, openings, *rest = (document[name] for name in list(document)[1:])
    full = ["part", "tables"] if kind == "full" else []
    need(kind in ("full", "personal") and list(document) == ["shoal_receipt", "kind", "entry", "openings", *full]
         and document["shoal_receipt"] == 1 and dumps(document) == text.removesuffix("\n"), "not the form of a receipt")
    entry = read_line(line, key)
    need(not lines or line in lines, "the receipt is not in the chain")
    for name, opening in openings.items():
        message = [bytes.fromhex(opening["salt"]), f"{name}\n".encode(), dumps(opening["value"]).encode()]
        need(sha256(b"Shoal receipt commitment 1\n", *message).hex() == entry["commitments"].get(name)
             and opening == {"salt": message[0].hex(), "value": opening["value"]}, f"{name} is not what was committed to")
    need(openings.keys() == entry["commitments"].keys() if full else all(n.startswith("told.") for n in openings), "openings")
    opened = {name: opening["value"] for name, opening in openings.items()}
    shown = "".join(f"  {name}: {dumps(value)}\n" for name, value in {**entry, **opened}.items() if name != "commitments")
    return f"{kind} receipt, signed by the key\n{shown}" + (check_part(rest[0], dumps(rest[1]), opened) if full else "")
def check_chain(text, key, lines):
    prev, region = "0" * 64, None
    for line in text.removesuffix("\n").split("\n"):
        entry = read_line(line, key)
        need(entry["seq"] == len(lines) + 1 and entry["prev"] == prev, "it does not follow the line before it")
        need((region := region or entry["region"]) == entry["region"] and text.endswith("\n"), "another region, or no end")
        prev = sha256(b"Shoal receipt line 1\n", line.encode()).hex()
        lines.append(line)
    return f"chain of {len(lines)} receipts of {region}, the last with the hash {prev}\n"
def main(key, *names):
    lines = []
    for name in names:
        try:
            text = open(name, "rb").read().decode()
            check = check_document if text.startswith('{"shoal_receipt":') else check_chain
            print(f"{name}: {check(text, bytes.fromhex(key), lines)}", end="")
        except Exception as error:  # whatever is wrong with a file, it is not verified
            sys.exit(f"{name}: NOT VERIFIED: {error}; lines of the chain that are good: {len(lines)}")
if __name__ == "__main__": main(*sys.argv[1:]) if len(sys.argv) > 2 else sys.exit(__doc__)
