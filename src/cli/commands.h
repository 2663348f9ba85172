// The commands, one file each.
#pragma once

#include "cli/args.h"
#include "cli/context.h"

namespace milgen::cli {

int run_emit(Context& context, const Args& args);
int run_bench(Context& context, const Args& args);
int run_check(Context& context, const Args& args);
int run_compile(Context& context, const Args& args);
int run_compare(Context& context, const Args& args);
int run_diff(Context& context, const Args& args);
int run_info(Context& context, const Args& args);
int run_print(Context& context, const Args& args);
int run_probe(Context& context, const Args& args);
int run_run(Context& context, const Args& args);
int run_stats(Context& context, const Args& args);
int run_verify(Context& context, const Args& args);
int run_weights(Context& context, const Args& args);
int run_ops(Context& context, const Args& args);
int run_kernels(Context& context, const Args& args);
int run_demo(Context& context, const Args& args);
int run_completion(Context& context, const Args& args);
int run_explain(Context& context, const Args& args);
int run_help(Context& context, const Args& args);

}  // namespace milgen::cli
