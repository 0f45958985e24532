// sequences.cc — see sequences.h.
#include "tools/restore/sequences.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "tools/postgres/catalog.h"
#include "tools/restore/sql.h"

namespace kembar::restore {
namespace {

// True when it was raised. Sequences that count down, or whose column holds no integers or more
// than the sequence can reach, stay.
Result<bool> Raise(postgres::Connection* connection, const postgres::SequenceInfo& sequence) {
  if (sequence.column.empty()) return false;
  const std::string name = QuoteTable(*connection, sequence.name);
  const std::string table = QuoteTable(*connection, sequence.table);
  const std::string column = connection->QuoteIdent(sequence.column);
  const capture::ValueView parameters[] = {name, table, sequence.column};
  ASSIGN_OR_RETURN(
      const postgres::Rows integer,
      connection->Query("SELECT s.seqmax::text FROM pg_sequence s, pg_attribute a"
                        " WHERE s.seqrelid = $1::regclass AND s.seqincrement > 0"
                        " AND a.attrelid = $2::regclass AND a.attname = $3"
                        " AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)",
                        parameters));
  if (integer.empty()) return false;
  ASSIGN_OR_RETURN(
      const postgres::Rows raised,
      connection->Query("SELECT setval(" + connection->QuoteLiteral(name) + "::regclass, m) FROM" +
                        " (SELECT max(" + column + ")::bigint AS m FROM " + table + ") AS x, " +
                        name + " AS s WHERE (m > s.last_value OR (m = s.last_value AND NOT" +
                        " s.is_called)) AND m <= " + integer[0][0].value_or("0")));
  return !raised.empty();
}

Status Set(postgres::Connection* connection, const capture::TableName& sequence,
           const capture::SequenceState& state) {
  const std::string name = QuoteTable(*connection, sequence);
  const capture::ValueView parameters[] = {name, state.last_value,
                                           state.is_called ? "true" : "false"};
  return connection->Execute("SELECT setval($1::regclass, $2::bigint, $3::boolean)", parameters)
      .Prepend("sequence " + sequence.Display());
}

std::pair<int64_t, bool> Rank(const capture::SequenceState& state) {
  int64_t last = 0;
  const std::string& text = state.last_value;
  std::from_chars(text.data(), text.data() + text.size(), last);
  return {last, state.is_called};
}

}  // namespace

Result<uint64_t> SetSequences(postgres::Connection* connection,
                              const std::map<capture::TableName, capture::SequenceState>& states) {
  ASSIGN_OR_RETURN(const auto sequences, postgres::ListSequences(connection));
  uint64_t set = 0;
  for (const postgres::SequenceInfo& sequence : sequences) {
    const auto state = states.find(sequence.name);
    if (state != states.end()) {
      RETURN_IF_ERROR(Set(connection, sequence.name, state->second));
      ++set;
    }
    const Result<bool> raised = Raise(connection, sequence);
    if (!raised.ok()) return raised.status().Prepend("sequence " + sequence.name.Display());
  }
  return set;
}

Result<std::vector<SequenceFinding>> SequencesBehind(
    postgres::Connection* connection,
    const std::map<capture::TableName, capture::SequenceState>& states) {
  ASSIGN_OR_RETURN(const auto sequences, postgres::ListSequences(connection));
  ASSIGN_OR_RETURN(const postgres::Rows odd,
                   connection->Query("SELECT n.nspname, c.relname FROM pg_sequence s"
                                     " JOIN pg_class c ON c.oid = s.seqrelid"
                                     " JOIN pg_namespace n ON n.oid = c.relnamespace"
                                     " WHERE s.seqincrement < 0 OR s.seqcycle"));
  std::set<capture::TableName> skip;
  for (const auto& row : odd) skip.insert({row[0].value_or(""), row[1].value_or("")});
  std::map<capture::TableName, capture::SequenceState> there;
  for (const postgres::SequenceInfo& sequence : sequences) there[sequence.name] = sequence.state;
  std::vector<SequenceFinding> behind;
  for (const auto& [name, state] : states) {
    const auto at = there.find(name);
    if (skip.contains(name) || (at != there.end() && Rank(at->second) >= Rank(state))) continue;
    behind.push_back({name, state.last_value, at == there.end() ? "" : at->second.last_value});
  }
  return behind;
}

Result<uint64_t> RaiseSequences(postgres::Connection* connection,
                                const std::map<capture::TableName, capture::SequenceState>& states,
                                const std::vector<capture::TableName>& tables) {
  std::set<capture::TableName> raised;
  ASSIGN_OR_RETURN(const std::vector<SequenceFinding> behind, SequencesBehind(connection, states));
  for (const SequenceFinding& finding : behind) {
    if (finding.database.empty()) continue;
    RETURN_IF_ERROR(Set(connection, finding.name, states.at(finding.name)));
    raised.insert(finding.name);
  }
  ASSIGN_OR_RETURN(const auto sequences, postgres::ListSequences(connection));
  for (const postgres::SequenceInfo& sequence : sequences) {
    if (std::find(tables.begin(), tables.end(), sequence.table) == tables.end()) continue;
    const Result<bool> too = Raise(connection, sequence);
    if (!too.ok()) return too.status().Prepend("sequence " + sequence.name.Display());
    if (*too) raised.insert(sequence.name);
  }
  return raised.size();
}

}  // namespace kembar::restore
