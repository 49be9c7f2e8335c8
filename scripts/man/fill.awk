# Fills a manual page in: what `--help` of a program says of flags, commands, signals and exit codes becomes mdoc in place
# of the marks @OPTIONS@, @COMMANDS@, @SIGNALS@ and @EXIT@, so that the manual can't disagree with the program.
#
#   program --help | awk -f fill.awk -v version=1.2.3 - page.in > page
#
# The form of help: a heading ("Commands:") or the blank line behind the usage begins a part; a line indented by two or
# more names an item, two blanks or a line break behind it begin its text.

# Text for mdoc: a backslash is none of roff's, a line does not begin with a request, -- stands as typed; ASCII only.
function plain(text) {
  gsub(/\\/, "\\e", text)
  gsub(/--/, "\\-\\-", text)
  gsub(/`/, "", text)
  gsub(/…/, "...", text)
  sub(/^[.']/, "\\\\\\&&", text)
  return text
}

function sentence(text) {
  if (text ~ /^[a-z]+([ ,;]|$)/)
    text = toupper(substr(text, 1, 1)) substr(text, 2)
  return plain(text) (text ~ /[?.]$/ ? "" : ".")
}

# "-w, --workers N" as "Fl w , \-workers Ar N".
function flag_item(left,    words, count, i, out) {
  count = split(left, words, " ")
  out = ".It"
  for (i = 1; i <= count; i++) {
    if (words[i] ~ /^-.,$/)
      out = out " Fl " substr(words[i], 2, 1) " ,"
    else if (words[i] ~ /^--/)
      out = out " Fl \\-" substr(words[i], 3)
    else
      out = out " Ar " words[i]
  }
  return out
}

# "states [--worker N]" as "Cm states Oo ... Oc", kept as it is typed behind the command.
function command_item(line,    space) {
  space = index(line, " ")
  if (space == 0)
    return ".It Cm " line
  return ".It Cm " substr(line, 1, space - 1) " No " plain(substr(line, space + 1))
}

function begin_part(name) {
  part = name
}

function add(text) {
  body[part] = body[part] text "\n"
}

FNR == 1 { file++ }

file == 1 && /^Commands:/ { begin_part("COMMANDS"); next }
file == 1 && /^Options:/ { begin_part("OPTIONS"); next }
file == 1 && /^Signals:/ { begin_part("SIGNALS"); next }
file == 1 && /^Exit codes:/ { begin_part("EXIT"); next }
file == 1 && part == "" && /^ +-/ { begin_part("OPTIONS") }
file == 1 && /^[^ ]/ { begin_part("") }
file == 1 && part != "" && /^ / {
  line = $0
  sub(/^ +/, "", line)
  indent = length($0) - length(line)
  if (indent > 6 || (part == "COMMANDS" && indent > 2)) { # text of the item before
    add(sentence(line))
    next
  }
  gap = part == "COMMANDS" ? 0 : match(line, /  +/)
  left = gap > 0 ? substr(line, 1, gap - 1) : line
  if (part == "OPTIONS")
    add(flag_item(left))
  else if (part == "COMMANDS")
    add(command_item(left))
  else
    add(".It " left)
  if (gap > 0) {
    text = substr(line, gap)
    sub(/^ +/, "", text)
    add(sentence(text))
  }
}
file == 1 { next }

match($0, /^@[A-Z]+@$/) {
  name = substr($0, 2, length($0) - 2)
  if (!(name in body)) {
    print FILENAME ": --help has no " name > "/dev/stderr"
    exit 1
  }
  printf "%s", body[name]
  next
}
{ gsub(/@VERSION@/, version); print }
