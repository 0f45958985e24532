// completion.h — the bash script around a list of commands and their words.
//
// Pure.
#pragma once

#include <string>
#include <vector>

namespace kembar::ctl {

struct CompletionCase {
  std::string path;   // "quarantine list"; empty: nothing typed yet
  std::string words;  // what may follow, separated by blanks
};

std::string BashCompletion(const std::vector<CompletionCase>& cases);

}  // namespace kembar::ctl
