#!/usr/bin/python3
"""Follows a page of docs/ literally, as root at a terminal, and compares what the page says with what happens.

Blocks of the page:
  sh      commands, run one after the other in one shell. "# exits with N" at the end of a line says that N is right.
  text    right after sh: all that these commands print
  eml     a mail that arrives within three minutes
  json    a webhook that arrives within three minutes
Others are not looked at. In what is expected, times, ids, tokens, durations, sizes and figures may be others, … stands for
any text, and a line that is only … for any lines.

The mail server of the site (10.1.0.25:25) and the receiver of webhooks (10.1.0.26:8080) are in here too.
"""
import email, email.policy, http.server, json, os, pty, queue, re, select, socketserver, subprocess, sys, termios, threading, time

PATIENCE = 180
mails, hooks = queue.Queue(), queue.Queue()
failures = 0


class Smtp(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 mail.example.org")
        while line := self.rfile.readline():
            word = line.strip().upper()
            if word.startswith(b"DATA"):
                self.say("354 go on")
                text = b""
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    text += line[1:] if line.startswith(b"..") else line
                mails.put(email.message_from_bytes(text, policy=email.policy.default))
                self.say("250 taken")
            elif word.startswith(b"QUIT"):
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        hooks.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def serve(kind, address, handler):
    server = kind(address, handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


# What differs from one time to the next, on the page as in what is printed.
VARIABLE = [
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?: ?UTC|Z)?", "<time>"),
    (r"\b\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: UTC)?\b", "<time>"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}(?:-[0-9a-f]{4}){2}-[0-9a-f]{12}\b", "<id>"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}\b", "<id>"),
    (r"\bstint_[\w-]{20,}", "<token>"),
    (r"\bwhsec_\S+", "<secret>"),
    (r"\b(?:\d+(?:\.\d+)? ?(?:ms|s|m|h|d|min|B|KiB|MiB|GiB|TiB|kB|KB|MB|%)\b ?)+", "<n> "),
    (r"\bin <n>", "in <n>"),
    (r"\s+", " "),
]


def normal(line):
    line = line.rsplit("\r", 1)[-1]
    for pattern, by in VARIABLE:
        line = re.sub(pattern, by, line)
    return line.strip()


def same(want, got):
    pattern = ".*?".join(re.escape(part) for part in want.split("…"))
    return re.fullmatch(pattern, got) is not None


def differs(want, got):
    """The first line of want that got has not, or None."""
    want = [normal(line) for line in want.splitlines()]
    got = [line for line in (normal(line.rstrip("\r")) for line in got.splitlines())]
    want, got = [w for w in want if w], [g for g in got if g]

    def match(i, j):
        while i < len(want):
            if want[i] == "…":
                return any(match(i + 1, k) for k in range(j, len(got) + 1))
            if j == len(got) or not same(want[i], got[j]):
                match.far = max(match.far, (i, j))
                return False
            i, j = i + 1, j + 1
        if j < len(got):
            match.far = max(match.far, (i, j))
            return False
        return True

    match.far = (-1, -1)
    if match(0, 0):
        return None
    i, j = match.far
    return "the page has %r, here is %r" % (want[i] if i < len(want) else "no more", got[j] if j < len(got) else "no more")


def fail(what):
    global failures
    failures += 1
    print("FAILED: " + what, flush=True)


class Shell:
    """One shell at a terminal, which runs commands one after the other."""

    def __init__(self):
        os.mkfifo("/run/next")
        os.mkfifo("/run/code")
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir("/root")
            env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "USER": "root", "LOGNAME": "root",
                   "TERM": "dumb", "LANG": "C.UTF-8", "SHELL": "/bin/bash", "DEBIAN_FRONTEND": "noninteractive"}
            os.execve("/bin/bash", ["-bash", "--norc", "--noprofile", "-c",
                                    'while read -r file </run/next; do . "$file"; echo $? >/run/code; done'], env)
        termios.tcsetwinsize(self.terminal, (40, 120))
        mode = termios.tcgetattr(self.terminal)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(self.terminal, termios.TCSANOW, mode)

    def run(self, text):
        with open("/run/command", "w") as file:
            file.write(text + "\n")
        with open("/run/next", "w") as file:
            file.write("/run/command\n")
        exit_code = os.open("/run/code", os.O_RDONLY | os.O_NONBLOCK)
        printed, deadline, code = b"", time.monotonic() + PATIENCE, None
        while code is None or select.select([self.terminal], [], [], 0.05)[0]:
            if self.terminal in select.select([self.terminal], [], [], 0.05)[0]:
                printed += os.read(self.terminal, 65536)
            elif code is None and select.select([exit_code], [], [], 0)[0] and (number := os.read(exit_code, 100)):
                code = int(number)
            if time.monotonic() > deadline:
                code = "none within %d s" % PATIENCE
                break
        os.close(exit_code)
        return printed.decode(errors="replace").replace("\r\n", "\n"), code


def commands(block):
    """The commands of a block: lines are joined until bash takes them for whole."""
    text = ""
    for line in block.splitlines():
        text += line
        if not text.strip():
            continue
        checked = subprocess.run(["bash", "-n"], input=text + "\n", capture_output=True, text=True)
        if checked.returncode == 0 and not checked.stderr and not line.endswith("\\"):
            yield text
            text = ""
        else:
            text += "\n"
    if text.strip():
        yield text


def blocks(page):
    for found in re.finditer(r"^(#+ [^\n]*)$|^( *)```(\S*)[^\n]*\n(.*?)^ *```$", page, re.M | re.S):
        heading, indent, kind, text = found.groups()
        if heading:
            yield "heading", heading, found.end()
        else:
            yield kind, "\n".join(line.removeprefix(indent) for line in text.splitlines()), found.end()


def arrived(kind, want, box):
    """Waits for a message that is as the page says; those before it may be others."""
    began, others = time.monotonic(), []
    while (left := began + PATIENCE - time.monotonic()) > 0:
        try:
            message = box.get(timeout=left)
        except queue.Empty:
            break
        if kind == "eml":
            body = message.get_body(("plain",))
            text = "From: %s\nTo: %s\nSubject: %s\n\n%s" % (message["From"], message["To"], message["Subject"], body.get_content())
        else:
            text = json.dumps(json.loads(message), indent=2)
        why = differs(want, text)
        if why is None:
            print("--- %s arrived, %.2f s\n%s" % ("mail" if kind == "eml" else "webhook", time.monotonic() - began, text), flush=True)
            return
        others.append("%s\nin:\n%s" % (why, text))
    fail("no %s as the page has it:\n%s\nwhat arrived:\n%s" % (kind, want, "\n---\n".join(others) or "nothing"))


def follow(page):
    shell, printed, after, count, began = Shell(), "", 0, 0, time.monotonic()
    for kind, text, end in blocks(page):
        if failures > 2:  # what follows depends on what came before
            break
        if kind == "heading":
            print("\n" + text, flush=True)
        elif kind == "sh":
            printed, after = "", end
            for command in commands(text):
                print("$ " + command, flush=True)
                start = time.monotonic()
                output, code = shell.run(command)
                print(output.rstrip("\n") + "\n--- %.2f s" % (time.monotonic() - start), flush=True)
                right = re.search(r"# exits with (\d+)", command)
                if code != (int(right[1]) if right else 0):
                    fail("exit code %s of: %s" % (code, command))
                printed += output
                count += 1
        elif kind == "text" and after and re.fullmatch(r"\s*```text.*", page[after:end], re.S) and page[after:end].count("```") == 2:
            why = differs(text, printed)
            if why is not None:
                fail("the output is not as the page has it: " + why)
        elif kind == "eml":
            arrived(kind, text, mails)
        elif kind == "json":
            arrived(kind, text, hooks)
    print("\n%d commands, %.0f s" % (count, time.monotonic() - began), flush=True)
    return count


serve(socketserver.ThreadingTCPServer, ("10.1.0.25", 25), Smtp)
serve(http.server.ThreadingHTTPServer, ("10.1.0.26", 8080), Hook)
count = follow(open(sys.argv[1]).read())
if failures == 0 and count > 0:
    print("--- all checks were made", flush=True)
