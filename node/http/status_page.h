// status_page.h — a snapshot of the node as one HTML page for people, in Bahasa Indonesia or
// English.
//
// Self-contained: no script, no asset, reloads itself every 5 s. Every state is said in words, the
// colour only repeats it. Everything that comes from outside the program is escaped.
//
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "node/http/snapshot.h"

namespace kembar {

enum class Language : uint8_t { kIndonesian, kEnglish };
// "en" and "id"; anything else is Bahasa Indonesia.
Language LanguageFrom(std::string_view code);

std::string RenderStatusPage(const NodeSnapshot& snapshot, Language language);

// Safe as HTML text and inside a quoted attribute.
std::string EscapeHtml(std::string_view text);

}  // namespace kembar
