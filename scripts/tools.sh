# shellcheck shell=bash
# Installs Debian packages for tools that are missing. For `.` in the other scripts.

missing=()

# need TOOL PACKAGE: the tool is in the PATH, or its package will be installed.
need() {
    command -v "$1" >/dev/null || missing+=("$2")
}

# Installs what is missing, or says what to install.
install_needed() {
    (( ${#missing[@]} )) || return 0
    local root=()
    (( EUID == 0 )) || root=(sudo -n)
    echo "installing ${missing[*]}"
    if ! command -v apt-get >/dev/null ||
        ! "${root[@]}" apt-get -q update ||
        ! DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get -q install -y --no-install-recommends "${missing[@]}"
    then
        echo "cannot install ${missing[*]} here: install these Debian packages (or what your system calls them)" \
            "and try again" >&2
        return 1
    fi
    missing=()
}
