"""``mainspring completion``: a script that lets a shell complete commands, options, groups and ids.

The script asks this command again, with the words of the line, and gets what may stand in place of the last of them:
a line for each, its value and, behind a tab, a few words about it. What is answered is text, which no shell evaluates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from mainspring.cli.output import plain

_SCRIPTS = {
    "bash": r"""# Completion of mainspring for bash. Load it with: source <(mainspring completion bash)
_mainspring() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <("$1" completion bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _mainspring mainspring
""",
    "zsh": r"""#compdef mainspring
# Completion of mainspring for zsh. Load it with: source <(mainspring completion zsh)
_mainspring() {
    local -a found
    local value text
    while IFS=$'\t' read -r value text; do
        found+=("${value//:/\\:}:$text")
    done < <("${words[1]}" completion zsh -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#found} )); then
        _describe mainspring found
    else
        _files
    fi
}
if [[ "${funcstack[1]}" == _mainspring ]]; then
    _mainspring "$@"
else
    compdef _mainspring mainspring
fi
""",
    "fish": r"""# Completion of mainspring for fish. Load it with: mainspring completion fish | source
function __mainspring_candidates
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -q last[1]; or set last ''
    set -l found ($words[1] completion fish -- $words[2..-1] $last 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command mainspring --no-files --arguments '(__mainspring_candidates)'
""",
}


def completion(
    ctx: typer.Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORDS]", help="The words of a line, to say what may stand for the last."),
    ] = None,
) -> None:
    """Print a script that completes commands, options, job groups and ids in a shell."""
    if words is None:
        typer.echo(_SCRIPTS[shell], nl=False)
        return
    if shell == "bash":
        joined = whole(words)
        kept = joined[-1].rpartition(":")  # bash keeps what stands before a colon
        for value, _ in candidates(ctx, joined):
            typer.echo(plain(value.removeprefix("".join(kept[:2]))))
        return
    for value, text in candidates(ctx, words):
        typer.echo(f"{plain(value)}\t{plain(text)}" if text else plain(value))


def whole(words: Sequence[str]) -> list[str]:
    """Put together the words that bash has parted at ``=`` and ``:``, but for the flag and its value around ``=``."""
    joined: list[str] = []
    parted = False
    for word in words:
        if word == ":" and joined:
            joined[-1] += word
            parted = True
        elif word == "=" and joined and joined[-1].startswith("--"):
            joined.append("")  # the value, which may not have been begun
            parted = True
        elif parted:
            joined[-1] += word
            parted = False
        else:
            joined.append(word)
    return joined


def candidates(ctx: typer.Context, words: Sequence[str]) -> list[tuple[str, str]]:
    """Return what may stand in place of the last of the words behind ``mainspring``, each with what it is."""
    from typer._click.shell_completion import ShellComplete

    class Words(ShellComplete):
        """What the machinery of typer finds, without its scripts."""

        name = "words"
        source_template = ""

        def source_vars(self) -> dict[str, Any]:
            return {}

        def get_completion_args(self) -> tuple[list[str], str]:
            return list(words[:-1]), words[-1] if words else ""

        def format_completion(self, item: Any) -> str:
            return str(item.value)

    finder = Words(ctx.find_root().command, {}, "mainspring", "")
    found = finder.get_completions(*finder.get_completion_args())
    return [(str(item.value), " ".join((item.help or "").split())) for item in found]
