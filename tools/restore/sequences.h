// sequences.h — sequences of a restored database: where the source's stood, and never below the
// column they feed (the log knows sequences by periodic reconciliation, rows at once).
//
// Thread-safety: as the connection.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/capture/facts.h"
#include "tools/postgres/connection.h"

namespace kembar::restore {

// Sets all sequences of the database that `states` knows, then raises what is too low. How many
// were set.
Result<uint64_t> SetSequences(postgres::Connection* connection,
                              const std::map<capture::TableName, capture::SequenceState>& states);

struct SequenceFinding {
  capture::TableName name;
  std::string log, database;  // last values; database empty: no such sequence
};
// Sequences that would give out numbers again which the log has seen. Those that count down or
// start over say nothing.
Result<std::vector<SequenceFinding>> SequencesBehind(
    postgres::Connection* connection,
    const std::map<capture::TableName, capture::SequenceState>& states);

// Raises every sequence that stands below the log's value, or feeds a column of `tables` and stands
// below its greatest value. Lowers none. How many were raised.
Result<uint64_t> RaiseSequences(postgres::Connection* connection,
                                const std::map<capture::TableName, capture::SequenceState>& states,
                                const std::vector<capture::TableName>& tables);

}  // namespace kembar::restore
