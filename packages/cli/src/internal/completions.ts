/**
 * What makes a shell complete: each script asks `hilok` itself, which knows the options, the server, and what may follow.
 */

// Behind the `--` of `run` stands another command, which is completed by its own rules.

const bash = String.raw`_hilok() {
  local cur=${"$"}{COMP_WORDS[COMP_CWORD]} cword=$COMP_CWORD words=("${"$"}{COMP_WORDS[@]}") i how word
  if declare -F _get_comp_words_by_ref >/dev/null; then _get_comp_words_by_ref -n =: cur words cword; fi
  COMPREPLY=()
  for ((i = 2; i < cword; i++)); do
    if [[ ${"$"}{words[1]} == run && ${"$"}{words[i]} == -- ]]; then
      if declare -F _command_offset >/dev/null; then _command_offset $((i + 1))
      elif ((i + 1 == cword)); then COMPREPLY=($(compgen -c -- "$cur"))
      else compopt -o default 2>/dev/null
      fi
      return
    fi
  done
  {
    read -r how
    while IFS=$'\t' read -r word _; do COMPREPLY+=("$(printf %q "$word")"); done
  } < <("${"$"}{words[0]}" __complete "${"$"}{words[@]:1:cword}" 2>/dev/null)
  case $how in
    :files) compopt -o default 2>/dev/null ;;
    :nospace) compopt -o nospace 2>/dev/null ;;
  esac
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$cur"; fi
}
complete -F _hilok hilok`

const zsh = String.raw`#compdef hilok
_hilok() {
  local how line word
  local -a lines shown space
  integer i
  for ((i = 3; i < CURRENT; i++)); do
    if [[ $words[2] == run && $words[i] == -- ]]; then
      shift $i words
      ((CURRENT -= i))
      _normal
      return
    fi
  done
  lines=("${"$"}{(@f)$("${"$"}{(Q)words[1]}" __complete "${"$"}{(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  how=$lines[1]
  lines=("${"$"}{(@)lines[2,-1]}")
  if [[ $how == :files ]]; then
    _files
    return
  fi
  [[ $how == :nospace ]] && space=(-S '')
  for line in $lines; do
    word=${"$"}{line%%$'\t'*}
    shown+=("${"$"}{word//:/\\:}:${"$"}{line#*$'\t'}")
  done
  _describe hilok shown $space
}
if [[ $funcstack[1] == _hilok ]]; then _hilok "$@"; else compdef _hilok hilok; fi`

const fish = String.raw`function __hilok_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l end (contains -i -- -- $words)
  if test -n "$end"; and test "$words[2]" = run
    set -l rest (string escape -- $words[(math $end + 1)..-1])
    complete -C (string join ' ' -- $rest $current)
    return
  end
  set -l lines ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
  if test "$lines[1]" = :files
    __fish_complete_path $current
    return
  end
  printf '%s\n' $lines[2..-1]
end
complete -c hilok -f -a '(__hilok_complete)'`

/** For one of the shells that the description of the option names. */
export const script = (shell: string): string => ({ bash, zsh, fish })[shell] ?? ""
