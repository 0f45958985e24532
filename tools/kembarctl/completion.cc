// completion.cc — see completion.h.
#include "tools/kembarctl/completion.h"

namespace kembar::ctl {
namespace {

constexpr char kHead[] = R"(# bash completion for kembarctl; made by `kembarctl completion bash`.
_kembarctl() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  local path="" word words i
  COMPREPLY=()
  case "$previous" in
    --file|--tls-ca|--tls-cert|--tls-key) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --output) COMPREPLY=($(compgen -W "table json" -- "$current")); return ;;
    --mode)
      COMPREPLY=($(compgen -W "max-protection max-availability max-performance" -- "$current"))
      return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${path:+$path }${COMP_WORDS[i]}"
    case "$word" in
)";

constexpr char kMiddle[] = R"(        path="$word" ;;
    esac
  done
  case "$path" in
)";

constexpr char kTail[] = R"(  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "$path" in
    import\ *) [[ "$current" == -* ]] || COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
}
complete -o filenames -F _kembarctl kembarctl
)";

}  // namespace

std::string BashCompletion(const std::vector<CompletionCase>& cases) {
  std::string script = kHead;
  std::string known;
  for (const CompletionCase& one : cases) {
    if (!one.path.empty()) known += (known.empty() ? "      \"" : "|\"") + one.path + "\"";
  }
  script += known + ")\n" + kMiddle;
  for (const CompletionCase& one : cases) {
    script += "    \"" + one.path + "\") words=\"" + one.words + "\" ;;\n";
  }
  return script + kTail;
}

}  // namespace kembar::ctl
