// Everything that a kernel's author needs: the DSL, programs, their text, and kernels by name.
//
// Weight files and their sources are in milgen/weights.h, writing programs as files in
// milgen/emit.h, the command line in milgen/cli.h.
#pragma once

#include "milgen/control_flow.h"
#include "milgen/diagnostic.h"
#include "milgen/dtype.h"
#include "milgen/fill.h"
#include "milgen/kernel.h"
#include "milgen/layout.h"
#include "milgen/ops.h"
#include "milgen/print.h"
#include "milgen/program.h"
#include "milgen/registry.h"
#include "milgen/shape.h"
#include "milgen/value.h"
