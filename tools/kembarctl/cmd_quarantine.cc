// cmd_quarantine.cc — `quarantine list|show|export|resubmit`: what a failover set aside.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>

#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/quarantine.h"

namespace kembar::ctl {
namespace {

struct QuarantineOptions {
  QuarantineFilter filter;
  std::string file;
};

struct Session {
  client::Cluster* cluster = nullptr;
  std::unique_ptr<QuarantineReader> reader;
  std::vector<SetAside> asides;
};

Result<Session> Open(Context* context, const QuarantineOptions& options) {
  Session session;
  ASSIGN_OR_RETURN(session.cluster, context->Connect());
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  session.reader = std::make_unique<QuarantineReader>(session.cluster, log, context->timeout());
  std::vector<std::string> silent;
  ASSIGN_OR_RETURN(session.asides, session.reader->Read(options.filter, &silent));
  for (const std::string& node : silent) {
    Note("note: node " + node + " does not answer; what it has set aside is not shown");
  }
  return session;
}

Json EntryJson(const SetAside& aside) {
  return Json{{"node", aside.node},
              {"id", aside.entry.id()},
              {"origin", aside.entry.origin()},
              {"time", JsonTime(aside.entry.time_us())},
              {"first_index", aside.entry.first_index()},
              {"last_index", aside.entry.last_index()},
              {"acknowledged_to", aside.entry.acknowledged_to()}};
}

Json SetAsideJson(const SetAside& aside, const v1::Record& record) {
  Json json = RecordJson(record);
  json["node"] = aside.node;
  json["quarantine"] = aside.entry.id();
  json["origin"] = aside.entry.origin();
  json["acknowledged"] = record.index() <= aside.entry.acknowledged_to();
  return json;
}

Result<QuarantineRow> Summarize(QuarantineReader* reader, const SetAside& aside) {
  QuarantineRow row{.node = aside.node,
                    .id = aside.entry.id(),
                    .origin = aside.entry.origin(),
                    .time_us = aside.entry.time_us(),
                    .first_index = aside.entry.first_index(),
                    .last_index = aside.entry.last_index(),
                    .acknowledged_to = aside.entry.acknowledged_to()};
  for (const SetAsideBatch& batch : aside.batches) {
    ASSIGN_OR_RETURN(const Standing standing, reader->Find(aside, batch));
    row.records += batch.records.size();
    if (standing == Standing::kPresent) row.resubmitted += batch.records.size();
    if (standing == Standing::kSuperseded) row.superseded += batch.records.size();
    for (const v1::Record& record : batch.records) row.packages.push_back(record.package());
  }
  std::sort(row.packages.begin(), row.packages.end());
  row.packages.erase(std::unique(row.packages.begin(), row.packages.end()), row.packages.end());
  return row;
}

Outcome RunList(Context* context, const QuarantineOptions& options) {
  ASSIGN_OR_RETURN(Session session, Open(context, options));
  std::vector<QuarantineRow> rows;
  Json array = Json::array();
  for (const SetAside& aside : session.asides) {
    ASSIGN_OR_RETURN(QuarantineRow row, Summarize(session.reader.get(), aside));
    Json json = EntryJson(aside);
    json["records"] = row.records;
    json["resubmitted"] = row.resubmitted;
    json["superseded"] = row.superseded;
    json["packages"] = row.packages;
    array.push_back(std::move(json));
    rows.push_back(std::move(row));
  }
  if (context->json()) {
    PrintLine(Dump(array));
  } else {
    Print(QuarantinesText(rows));
  }
  return kExitOk;
}

Outcome RunShow(Context* context, const QuarantineOptions& options) {
  ASSIGN_OR_RETURN(const Session session, Open(context, options));
  Json array = Json::array();
  for (const SetAside& aside : session.asides) {
    std::vector<v1::Record> records;
    for (const SetAsideBatch& batch : aside.batches) {
      for (const v1::Record& record : batch.records) records.push_back(record);
    }
    if (context->json()) {
      for (const v1::Record& record : records) array.push_back(SetAsideJson(aside, record));
    } else {
      PrintLine("node " + aside.node + ", quarantine " + std::to_string(aside.entry.id()) + ": " +
                aside.entry.origin());
      Print(RecordsText(records));
    }
  }
  if (context->json()) PrintLine(Dump(array));
  return kExitOk;
}

// JSON lines, contents included, to standard output or to a new file.
Outcome RunExport(Context* context, const QuarantineOptions& options) {
  ASSIGN_OR_RETURN(const Session session, Open(context, options));
  std::FILE* out = stdout;
  if (!options.file.empty()) {
    out = std::fopen(options.file.c_str(), "wxe");
    if (out == nullptr) {
      return Status(Code::kIo, "file " + options.file + " cannot be created",
                    "it must not exist yet");
    }
  }
  uint64_t count = 0;
  for (const SetAside& aside : session.asides) {
    for (const SetAsideBatch& batch : aside.batches) {
      for (const v1::Record& record : batch.records) {
        const std::string line = Dump(SetAsideJson(aside, record)) + "\n";
        std::fwrite(line.data(), 1, line.size(), out);
        ++count;
      }
    }
  }
  const bool failed = std::fflush(out) != 0 || std::ferror(out) != 0;
  if (out != stdout && (std::fclose(out) != 0 || failed)) {
    return Status(Code::kIo, "file " + options.file + " could not be written");
  }
  Note(std::to_string(count) + " records exported");
  return kExitOk;
}

Outcome RunResubmit(Context* context, const QuarantineOptions& options) {
  ASSIGN_OR_RETURN(Session session, Open(context, options));
  ASSIGN_OR_RETURN(client::PrimaryFollower * follower, context->Follower());
  uint64_t resubmitted = 0;
  uint64_t present = 0;
  uint64_t superseded = 0;
  uint64_t control = 0;
  for (const SetAside& aside : session.asides) {
    control += aside.control_records;
    for (const SetAsideBatch& batch : aside.batches) {
      ASSIGN_OR_RETURN(const Standing standing, session.reader->Find(aside, batch));
      if (standing != Standing::kAbsent) {
        (standing == Standing::kPresent ? present : superseded) += batch.records.size();
        continue;
      }
      Result<v1::AppendResponse> answer = client::AppendOnce(
          follower, ResubmitRequest(follower->log(), aside, batch), context->timeout());
      if (!answer.ok()) {
        return Status(answer.status().code(),
                      "resubmit record " + std::to_string(batch.index) + " of " + aside.node +
                          ": " + answer.status().message() + "; " + std::to_string(resubmitted) +
                          " records were resubmitted so far",
                      "run it again: nothing is appended twice");
      }
      session.reader->Forget(batch);
      (answer->duplicate() ? present : resubmitted) += batch.records.size();
    }
  }
  if (context->json()) {
    PrintLine(Dump({{"resubmitted", resubmitted},
                    {"already_present", present},
                    {"superseded", superseded},
                    {"control_records", control}}));
  } else {
    PrintLine(std::to_string(resubmitted) + " records resubmitted, " + std::to_string(present) +
              " were in the log already, " + std::to_string(superseded) +
              " stay in quarantine: something newer came for their items");
  }
  return kExitOk;
}

using Runner = Outcome (*)(Context*, const QuarantineOptions&);

CLI::App* AddOne(CLI::App* parent, Context* context, const std::string& name,
                 const std::string& about, Runner run) {
  auto options = std::make_shared<QuarantineOptions>();
  CLI::App* command = parent->add_subcommand(name, about);
  command->add_option("--of", options->filter.node, "The node that set them aside (default: all)");
  command->add_option("--id", options->filter.id, "The quarantine's number there (default: all)");
  if (run != RunResubmit) {
    command->add_option("--package", options->filter.package, "Only batches with this package");
  }
  if (run == RunExport) {
    command->add_option("--file", options->file, "A new file (default: standard output)");
  }
  command->callback([context, options, run] {
    context->run = [context, options, run] { return run(context, *options); };
  });
  return command;
}

}  // namespace

void AddQuarantine(CLI::App* app, Context* context) {
  CLI::App* command =
      app->add_subcommand("quarantine", "Records that a failover set aside on a node");
  command->require_subcommand(1);
  command->fallthrough();
  AddOne(command, context, "list", "What is set aside, where, and what of it is back", RunList);
  AddOne(command, context, "show", "The records, with package and origin", RunShow);
  AddOne(command, context, "export", "The records with contents, as JSON lines", RunExport);
  AddOne(command, context, "resubmit",
         "Append them again, each once, unless something newer came for their items", RunResubmit);
}

}  // namespace kembar::ctl
