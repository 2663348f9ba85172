// Writes libFuzzer's dictionary: the words and signs of MIL, and every op and argument of the op
// table.
#include <cstdio>
#include <set>
#include <string>
#include <string_view>

#include "milgen/dtype.h"
#include "milgen/op_info.h"

int main() {
  std::set<std::string> words = {"program(1.3)",
                                 "program(1.0)",
                                 "func",
                                 "ios15",
                                 "ios16",
                                 "ios17",
                                 "ios18",
                                 "tensor<",
                                 "list<",
                                 "tuple<",
                                 "dict<",
                                 "state<",
                                 "const",
                                 "name",
                                 "val",
                                 "BLOBFILE(",
                                 "path",
                                 "offset",
                                 "buildInfo",
                                 "true",
                                 "false",
                                 "inf",
                                 "-inf",
                                 "nan",
                                 "0x1.8p-3",
                                 "-0x1p+0",
                                 "1e-6",
                                 "0.5",
                                 "-> (",
                                 "} -> (",
                                 ");",
                                 " = ",
                                 "[?]",
                                 ", []>",
                                 "//",
                                 "\\\"",
                                 "\\x0A",
                                 "\\x0D\\x0A",
                                 "\\x00",
                                 "({{\\\"",
                                 "\\\\",
                                 "shape=[",
                                 "strides=[",
                                 "18446744073709551615",
                                 "9223372036854775807",
                                 "tensor_buffer<",
                                 "FlexibleShapeInformation",
                                 "@model_path/weights/weight.bin",
                                 "tensor<string, []>(\\\"",
                                 "\\xEF\\xBB\\xBF"};
  for (int d = 1; d < milgen::kDTypeCount; ++d) {
    words.emplace(milgen::dtype_name(static_cast<milgen::DType>(d)));
  }
  for (const milgen::OpInfo& op : milgen::op_table()) {
    words.emplace(op.name);
    for (const milgen::Signature& signature : op.signatures) {
      for (const milgen::Param& param : signature.params) words.emplace(param.name);
    }
  }
  for (const std::string& word : words) std::printf("\"%s\"\n", word.c_str());
}
