// split.h — cuts an array into the exact byte slices of its elements, and recovers from broken
// ones.
//
// A row that breaks (an unbalanced quote or bracket, a raw line break in a string, a missing comma)
// ends where the next row visibly begins: at a '{' behind a comma or brace which starts like the
// array's first row or, being well-formed, has one of the keys that every row has. Real files are a
// single line, so line breaks can't be used. Work stays linear in the size of the input.
//
// Pure. Positions are bytes from the beginning of `bytes`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"

namespace kembar::import {

struct Slice {
  size_t begin = 0;
  size_t end = 0;
  std::string broken;  // empty: a whole value; else why not, with the place
};

struct RowShape {
  std::vector<std::string_view> markers;  // keys that tell a row from other objects
  bool nested = false;  // rows hold objects themselves, and the array stands inside an object
};

// Appends the elements of the array that opens at *pos, in order, and moves *pos past its ']'.
// kInvalid, "truncated at byte N: …", when the array is never closed.
Status SplitArray(std::string_view bytes, const RowShape& shape, size_t* pos,
                  std::vector<Slice>* rows);

}  // namespace kembar::import
