# bash completion for mcp-broker and mcp-brokerctl.
#
# Knows no flag and no command of its own: it asks `--help` of the very program on the command line, and a running broker
# (mcp-brokerctl --json states) for servers, workspaces and the like.

# The flags in a text, one a line.
_mcp_broker_flags() {
  grep -oE -- '--[a-z][a-z-]*' | sort -u
}

# The line of help that tells of a flag: "--servers FILE   servers file; ...".
_mcp_broker_about() {
  sed -nE "s/^ +(-[a-z], )?($1( .*|\$))/\2/p" <<<"$help" | head -n 1
}

# What the servers of a running broker have under a key, one a line. A value that JSON escapes is left out.
_mcp_broker_values() {
  "$program" "${where[@]}" --json states 2>/dev/null | grep -oE "\"$1\": ?\"[^\"\\]+\"" |
    sed -E 's/^[^:]*: ?"(.*)"$/\1/' | sort -u
}

# The values of a flag, by what help calls its value; else by its name, for what a broker knows.
_mcp_broker_flag_values() {
  local about choices
  about=$(_mcp_broker_about "$1")
  choices=$(grep -oE ': [a-z]+(\|[a-z]+)+' <<<"$about" | tr -d ': ' | tr '|' '\n')
  case "$1 ${about#"$1"}" in
  '--state '*) _mcp_broker_values state ;;
  '--workspace '*) _mcp_broker_values workspaceId ;;
  '--user '*) _mcp_broker_values userId ;;
  '--server '*) _mcp_broker_values serverId ;;
  '--kind '*) printf '%s\n' tools prompts resources status ;;
  '--events '*) printf '%s\n' tools prompts resources ;;
  '--type '*) printf '%s\n' http sse ;;
  *'  FILE '*) compgen -f -- "$current" ;;
  *'  DIR '*) compgen -d -- "$current" ;;
  *) [ -z "$choices" ] || printf '%s\n' "$choices" ;;
  esac
}

# What the word behind the command may be: its flags, or the id of a server.
_mcp_broker_command_words() {
  local usage
  usage=$(sed -nE "s/^  ($1( .*|\$))/\1/p" <<<"${help%%Options:*}" | head -n 1)
  case "$current" in
  -*) _mcp_broker_flags <<<"$usage --run-dir --json --help --version" ;;
  *) [[ $usage != "$1 ID"* ]] || _mcp_broker_values serverId ;;
  esac
}

_mcp_broker_candidates() {
  local index word flag='' command=''
  # The command, and the flag that waits for its value.
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=${COMP_WORDS[index]}
    if [ -n "$flag" ]; then
      [ "$word" = = ] && continue
      [ "$flag" = --run-dir ] && where=(--run-dir "$word")
      flag=
    elif [[ $word == --* ]] && [[ $(_mcp_broker_about "$word") == "$word "[A-Z]* ]]; then
      flag=$word
    elif [[ $word != -* ]] && [ -z "$command" ]; then
      command=$word
    fi
  done
  [ "$current" = = ] && current=
  if [ -n "$flag" ]; then
    _mcp_broker_flag_values "$flag"
  elif [[ $help != *$'\nCommands:\n'* ]]; then
    _mcp_broker_flags <<<"$(grep -oE '^ +(-[a-z], )?--[a-z-]+' <<<"$help")"
  elif [ -n "$command" ]; then
    _mcp_broker_command_words "$command"
  elif [[ $current == -* ]]; then
    _mcp_broker_flags <<<"$(grep -oE '^  --[a-z-]+' <<<"$help")"
  else
    sed -nE 's/^  ([a-z-]+).*$/\1/p' <<<"${help%%Options:*}"
  fi
}

_mcp_broker() {
  local program=$1 current=${COMP_WORDS[COMP_CWORD]} help candidate
  local -a where=()
  help=$("$program" --help 2>/dev/null) || return
  COMPREPLY=()
  [ "$current" = = ] && current=
  while IFS= read -r candidate; do
    [[ $candidate != "$current"* ]] || COMPREPLY+=("$(printf %q "$candidate")")
  done < <(_mcp_broker_candidates)
  # A colon ends a word for readline, so it wants only what is behind it.
  if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
  fi
}

complete -o filenames -F _mcp_broker mcp-broker
complete -F _mcp_broker mcp-brokerctl
