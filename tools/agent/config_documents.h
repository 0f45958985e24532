// config_documents.h — the section [documents] of the agent's configuration.
//
// Pure.
#pragma once

#include <string>

#include "replicator/base/status.h"
#include "tools/capture/mapping.h"
#include "tools/documents/source.h"

namespace kembar::agent {

class ConfigSection;

struct DocumentsConfig {
  documents::SourceOptions options;
  std::string mapping_file;  // empty: that of [postgres], if there is one
  capture::Mapping mapping;  // what is in it
};

Result<DocumentsConfig> ReadDocuments(ConfigSection section);
// As TOML that gives the same again.
std::string DocumentsText(const DocumentsConfig& config);

}  // namespace kembar::agent
