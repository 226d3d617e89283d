"""The scripts of `netdsl completion`, one function per shell; nothing of the machine is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netdsl.cli.command import Option
    from netdsl.cli.completion import CommandLine

_BASH = """\
# netdsl for bash: put this line into ~/.bashrc
#   eval "$(netdsl completion bash)"
_netdsl_offer() {
    case $1 in
    "") ;;
    /) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur")) ;;
    '*') compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")) ;;
    '*.'*) compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -d -- "$cur"; compgen -f -X "!$1" -- "$cur")) ;;
    *) IFS=$' \\t\\n'; COMPREPLY=($(compgen -W "$1" -- "$cur")) ;;
    esac
}
_netdsl() {
    local IFS=$'\\n' typed=() joins= word k
    COMPREPLY=()
    # bash takes --name=value for three words, and name:number too.
    for ((k = 0; k <= COMP_CWORD; k++)); do
        word=${COMP_WORDS[k]}
        if [[ -n $joins || $word == : ]]; then typed[${#typed[@]} - 1]+=$word; else typed+=("$word"); fi
        if [[ $word == : ]]; then joins=1; else joins=; fi
    done
    local count=$((${#typed[@]} - 1)) line=${typed[1]} options= valued= at=2 place=1
    local cur=${typed[count]} prev=${typed[count - 1]}
    if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${typed[count - 2]}; fi
    _netdsl_typed
    # What stands before a colon is typed already.
    if [[ $cur == *:* ]]; then COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}"); fi
}
_netdsl_typed() {
    if ((count == 1)); then _netdsl_offer "@COMMANDS@ --help --version"; return; fi
    case $line in
@GROUPS@
    esac
    case $line in
@OPTIONS@
    esac
    while ((at < count)); do
        word=${typed[at]}
        if [[ $word == -* || $word == = ]]; then
            if [[ $word == = || " $valued " == *" $word "* ]]; then ((at++)); fi
        else
            ((place++))
        fi
        ((at++))
    done
    case "$line $prev" in
@VALUES@
    esac
    if [[ $cur == -* ]]; then _netdsl_offer "$options"; return; fi
    case "$line $place" in
@ARGUMENTS@
    esac
}
complete -F _netdsl netdsl
"""


def bash(lines: Sequence[CommandLine]) -> str:
    """A function that walks over the words typed, as bash 3.2 and later can do it."""
    groups, options, values, arguments = [], [], [], []
    for group in _groups(lines):
        inner = " ".join(line.words[1] for line in lines if line.words[0] == group)
        groups.append(
            f'    {group}) if ((count == 2)); then _netdsl_offer "{inner}"; return; fi\\n'
            f'        line="$line ${{typed[2]}}"; at=3 ;;'.replace("\\n", "\n")
        )
    for line in lines:
        name = " ".join(line.words)
        flags = [flag for o in line.options for flag in o.flags]
        valued = [flag for o in line.options if o.takes_value for flag in o.flags]
        options.append(f'    "{name}") options="{" ".join(flags)}" valued="{" ".join(valued)}" ;;')
        for o in line.options:
            if o.takes_value:
                patterns = " | ".join(f'"{name} {flag}"' for flag in o.flags)
                values.append(f"    {patterns}) _netdsl_offer '{_offered(o)}'; return ;;")
        for place, o in enumerate(line.arguments, 1):
            at = f'"{name} "*' if o.settings.get("nargs") == "+" else f'"{name} {place}"'
            arguments.append(f"    {at}) _netdsl_offer '{_offered(o)}' ;;")
    parts = {"GROUPS": groups, "OPTIONS": options, "VALUES": values, "ARGUMENTS": arguments}
    script = _BASH.replace("@COMMANDS@", " ".join(_commands(lines)))
    for name, texts in parts.items():
        script = script.replace(f"@{name}@", "\n".join(texts))
    return script


def _offered(o: Option) -> str:
    """A list of words, a pattern, or nothing."""
    return o.files or " ".join(o.words)


_ZSH = """\
#compdef netdsl
# netdsl for zsh: put this line into ~/.zshrc, behind compinit
#   eval "$(netdsl completion zsh)"
_netdsl() {
    local curcontext=$curcontext state
    local -a commands
    commands=(
@COMMANDS@
    )
    _arguments -C '--version[tell the version]' '--help[list the commands]' '1: :->command' '*:: :->arguments'
    case $state in
    command) _describe command commands ;;
    arguments)
        case $words[1] in
@LINES@
        esac ;;
    esac
}
if [[ $funcstack[1] == _netdsl ]]; then _netdsl "$@"; else compdef _netdsl netdsl; fi
"""
_ZSH_GROUP = """\
        {group})
            _arguments -C '1:command:({inner})' '*:: :->inner'
            [[ $state == inner ]] && case $words[1] in
{lines}
            esac ;;"""


def zsh(lines: Sequence[CommandLine]) -> str:
    """Specifications for zsh's own `_arguments`."""
    commands = [f"        {_quoted(f'{name}:{text}')}" for name, text in _commands(lines).items()]
    cases = [_zsh_line(line, " " * 8) for line in lines if len(line.words) == 1]
    for group in _groups(lines):
        inner = [line for line in lines if line.words[0] == group]
        names = " ".join(line.words[1] for line in inner)
        texts = "\n".join(_zsh_line(line, " " * 12) for line in inner)
        cases.append(_ZSH_GROUP.format(group=group, inner=names, lines=texts))
    return _ZSH.replace("@COMMANDS@", "\n".join(commands)).replace("@LINES@", "\n".join(cases))


def _zsh_line(line: CommandLine, indent: str) -> str:
    """The case of a command."""
    specs = []
    for o in line.options:
        for flag in o.flags:
            often = "*" if o.settings.get("action") == "append" else ""
            equals = "=" if flag.startswith("--") and o.takes_value else ""
            text = str(o.settings.get("help", "")).replace("[", r"\[").replace("]", r"\]")
            value = f":{o.settings.get('metavar', '')}:{_zsh_action(o)}" if o.takes_value else ""
            specs.append(_quoted(f"{often}{flag}{equals}[{text}]{value}"))
    for o in line.arguments:
        place = {"+": "*:", "?": ":"}.get(o.settings.get("nargs", ""), "")
        specs.append(_quoted(f"{place or ':'}{o.settings.get('metavar', '')}:{_zsh_action(o)}"))
    joint = f" \\\n{indent}        "
    return f"{indent}{line.words[-1]}) _arguments {joint.join(specs)} ;;"


def _zsh_action(o: Option) -> str:
    if o.files:
        return {"/": "_files -/", "*": "_files"}.get(o.files, f'_files -g "{o.files}"')
    return f"({' '.join(o.words)})".replace(":", r"\:") if o.words else " "


_FISH = """\
# netdsl for fish: put this line into ~/.config/fish/config.fish
#   netdsl completion fish | source
function __netdsl_at
    set -l typed (commandline -opc)
    test "$typed[2..$(math 1 + (count $argv))]" = "$argv"
end
function __netdsl_files
    set -l ending (string escape --style=regex -- $argv)
    __fish_complete_path (commandline -ct) | string match -r -- '^[^\\t]*(?:/|'$ending')(?:\\t.*)?$'
end
complete -c netdsl -f
complete -c netdsl -n 'test (count (commandline -opc)) -eq 1' -l help -d 'list the commands'
complete -c netdsl -n 'test (count (commandline -opc)) -eq 1' -l version -d 'tell the version'
"""


def fish(lines: Sequence[CommandLine]) -> str:
    """One `complete` for each command, option and argument."""
    out = []
    first = "test (count (commandline -opc)) -eq 1"
    for name, text in _commands(lines).items():
        out.append(f"complete -c netdsl -n '{first}' -a {name} -d {_quoted(text)}")
    for line in lines:
        if len(line.words) == 2:
            group = f"__netdsl_at {line.words[0]}; and test (count (commandline -opc)) -eq 2"
            out.append(f"complete -c netdsl -n '{group}' -a {line.words[1]} -d {_quoted(line.text)}")
        at = f"complete -c netdsl -n '__netdsl_at {' '.join(line.words)}'"
        for o in line.options:
            names = " ".join(f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in o.flags)
            value = f" -x{_fish_value(o)}" if o.takes_value else ""
            out.append(f"{at} {names}{value} -d {_quoted(str(o.settings.get('help', '')))}")
        out += [f"{at}{value}" for value in dict.fromkeys(map(_fish_value, line.arguments)) if value]
    return _FISH + "\n".join(out) + "\n"


def _fish_value(o: Option) -> str:
    if o.files:
        call = {"/": "__fish_complete_directories", "*": "__fish_complete_path"}.get(o.files)
        return f" -a '({call or f'__netdsl_files {o.files[1:]}'})'"
    return f" -a '{' '.join(o.words)}'" if o.words else ""


def _commands(lines: Sequence[CommandLine]) -> dict[str, str]:
    """Name and text of the commands, a group being one."""
    from netdsl.cli.main import COMMANDS

    return {line.words[0]: COMMANDS[line.words[0]] for line in lines}


def _groups(lines: Sequence[CommandLine]) -> list[str]:
    return list(dict.fromkeys(line.words[0] for line in lines if len(line.words) == 2))


def _quoted(text: str) -> str:
    """A quoted word of a shell; a `'` inside becomes `’`, because the three shells escape it differently."""
    return "'" + text.replace("'", "’") + "'"
