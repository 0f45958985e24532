// schema_dump.cc — see schema_dump.h.
#include "tools/agent/postgres/schema_dump.h"

#include <memory>

#include "tools/postgres/catalog.h"
#include "tools/postgres/connection.h"

namespace kembar::agent {

SchemaDump::SchemaDump(std::string dsn, std::string snapshot, Wakeup* wakeup)
    : dsn_(std::move(dsn)),
      snapshot_(std::move(snapshot)),
      wakeup_(wakeup),
      result_(Status(Code::kUnavailable, "not done yet")) {
  thread_ = std::thread([this] { ThreadMain(); });
}

SchemaDump::~SchemaDump() { thread_.join(); }

// Both parts are of one moment: a constraint of a table that the other part does not have could
// never be restored.
Result<SchemaTexts> SchemaDump::Dump() {
  std::unique_ptr<postgres::Connection> own;
  std::string snapshot = snapshot_;
  if (snapshot.empty()) {
    ASSIGN_OR_RETURN(
        own, postgres::Connection::Open({.dsn = dsn_, .application_name = "kembar-agent schema"}));
    RETURN_IF_ERROR(own->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    ASSIGN_OR_RETURN(const postgres::Rows rows,
                     own->Query("SELECT pg_catalog.pg_export_snapshot()"));
    snapshot = rows.at(0).at(0).value_or(std::string());
  }
  SchemaTexts texts;
  ASSIGN_OR_RETURN(texts.pre_data, postgres::DumpSchema(dsn_, "pre-data", snapshot));
  ASSIGN_OR_RETURN(texts.post_data, postgres::DumpSchema(dsn_, "post-data", snapshot));
  return texts;
}

void SchemaDump::ThreadMain() {
  result_ = Dump();
  done_ = true;
  wakeup_->Wake();
}

}  // namespace kembar::agent
