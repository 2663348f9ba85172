// Reads a MIL text, renames its first input, holds what goes into each sigmoid between -8 and 8,
// and writes the text again: everything else as it was.
//
//     edit model.mlmodelc/model.mil > edited.mil
#include <milgen/module.h>
#include <milgen/print.h>

#include <iostream>

using namespace milgen;

int main(int argc, char** argv) {
  Diagnostics diagnostics;
  Module module = read_mil(argc > 1 ? argv[1] : "model.mil", diagnostics);
  for (mil::Function function : module.functions()) {
    module.rename(function.inputs()[0], "hidden", diagnostics);
    for (mil::Op op : function.body().ops()) {
      if (op.name() != "sigmoid") continue;
      mil::Value x = op.argument("x").bindings()[0].value();
      std::string name = std::string(x.name()) + "_held", type(x.type().text());
      mil::Op clip = module.insert_before(
          op,
          type + " " + name + " = clip(alpha = fp16(-8), beta = fp16(8), x = " +
              std::string(x.name()) + ")[name = string(\"" + name + "\")];",
          diagnostics);
      if (clip) module.set_argument(op, "x", clip.results()[0]);
    }
  }
  std::cerr << render(diagnostics);
  std::cout << print_mil(module);
  return diagnostics.has_errors() ? 1 : 0;
}
