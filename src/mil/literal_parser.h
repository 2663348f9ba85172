// Types and typed literals of MIL text.
#pragma once

#include <optional>
#include <vector>

#include "mil/scanner.h"

namespace milgen::mil {

/// The container that `word` begins when `<` stands behind it.
std::optional<TypeKind> container(std::string_view word);

class LiteralParser : public Scanner {
 public:
  using Scanner::Scanner;

  /// A typed literal and nothing behind it; kNoId when there is an error.
  Id single_literal();

 protected:
  bool type(Id& out);
  bool typed(Id& literal);

 private:
  bool type_at_length(Id& out);
  bool dims(std::vector<std::int64_t>& out, bool may_be_unknown);
  bool dim(std::int64_t& out, bool may_be_unknown);
  bool scalar_type(DType& out);
  bool tensor_type(Id& out);
  bool tensor_buffer_type(Id& out);
  bool blob(LiteralRecord& literal);

  NameTable type_words_;      // spellings of types, as they stand in the text
  std::vector<Id> type_ids_;  // of type_words_
  std::vector<std::int64_t> dims_;
};

}  // namespace milgen::mil
