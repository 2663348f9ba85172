#include "milgen/cli.h"

int main(int argc, char** argv) {
  milgen::Registry kernels;
  milgen::add_builtin_kernels(kernels);
  return milgen::milc_main(argc, argv, kernels);
}
