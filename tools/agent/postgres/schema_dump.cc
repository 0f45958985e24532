// schema_dump.cc — see schema_dump.h.
#include "tools/agent/postgres/schema_dump.h"

#include "tools/postgres/catalog.h"

namespace kembar::agent {

SchemaDump::SchemaDump(std::string dsn, std::string snapshot, Wakeup* wakeup)
    : dsn_(std::move(dsn)),
      snapshot_(std::move(snapshot)),
      wakeup_(wakeup),
      result_(Status(Code::kUnavailable, "not done yet")) {
  thread_ = std::thread([this] { ThreadMain(); });
}

SchemaDump::~SchemaDump() { thread_.join(); }

void SchemaDump::ThreadMain() {
  const auto dump = [this]() -> Result<SchemaTexts> {
    SchemaTexts texts;
    ASSIGN_OR_RETURN(texts.pre_data, postgres::DumpSchema(dsn_, "pre-data", snapshot_));
    ASSIGN_OR_RETURN(texts.post_data, postgres::DumpSchema(dsn_, "post-data", snapshot_));
    return texts;
  };
  result_ = dump();
  done_ = true;
  wakeup_->Wake();
}

}  // namespace kembar::agent
