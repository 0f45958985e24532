// cut.h — cuts: restorable points of a captured database together with its documents
// (docs/capture.md, "Cuts"); and the documents as of one, or of any moment.
//
// The agent records one with each canary: a moment between two transactions. Whether it is whole,
// that is, whether every document that rows refer to at that moment is there, is asked of the node
// when the cut is to be used: what a node holds changes, what was recorded of it would not.
//
// Thread-safety: functions use the node they are given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/capture/facts.h"
#include "tools/documents/referenced.h"
#include "tools/kembarctl/restore_common.h"

namespace kembar::ctl {

struct Cut {
  std::string source;
  uint64_t index = 0;  // up to here restored, rows and documents make a pair
  int64_t time_us = 0;
  capture::Lsn lsn = 0;
  bool whole = false;
  uint64_t missing_documents = 0;
  std::string example;  // "PACKAGE: what is missing"; of one that is not whole
};

// Looks whether a cut is whole, at the node that `at` names.
Status CheckCut(Context* context, const std::string& at, Cut* cut);

// The newest `count` cuts of a source (empty: of all), newest first; not checked.
Result<std::vector<Cut>> ListCuts(Context* context, const std::string& at,
                                  const std::string& source, uint32_t count);

// The newest cut that is whole. kNotFound: there is none among the newest ones; says why.
Result<Cut> FindWholeCut(Context* context, const std::string& at, const std::string& source);

// --as-of of the commands that restore and compare: an index, a time, or "cut", the newest cut that
// is whole. Of several databases each has cuts of its own: kInvalid unless `source` names one.
Result<v1::AsOf> ResolveAsOf(Context* context, const std::string& as_of, const std::string& at,
                             const std::string& source);

// Options that restoring and comparing documents have in common.
struct DocumentsOptions {
  std::vector<std::string> packages;
  std::string as_of;
  std::string source;
  std::string at;
};

struct DocumentsOfMoment {
  std::string log;
  std::shared_ptr<client::NodeStubs> node;           // that was asked
  std::vector<documents::PlacedDocument> documents;  // the living, then the referenced
  documents::Referenced referenced;
  std::vector<documents::Trouble> unreadable;
};
Result<DocumentsOfMoment> ListDocumentsOfMoment(Context* context, const DocumentsOptions& options);

// A document's path for JSON. Of one whose record cannot be read it may be no path.
std::string JsonPath(const std::string& path);

}  // namespace kembar::ctl
