// What the weights of a MIL text are called when it becomes a program of the DSL.
#pragma once

#include <string>
#include <vector>

#include "milgen/module.h"

namespace milgen::mil {

struct NamedWeight {
  std::string name;
  Literal literal;  ///< a BLOBFILE
};

/// The literals of a function that stand in weight files, each under a name of its own: that of its
/// file where the file holds nothing else (`weights/wq.bin` is `wq`), or else that of its constant,
/// or for one that stands in place those of the op's result and its argument.
std::vector<NamedWeight> named_weights(const Function& function);

}  // namespace milgen::mil
