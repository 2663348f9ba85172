// What stories_train's command line says.
#pragma once

#include <cstdint>
#include <string>

#include "cli/args.h"
#include "cli/context.h"
#include "milgen/stories_train.h"
#include "milgen/train/pipeline.h"
#include "milgen/train/token_file.h"
#include "milgen/train/trainer.h"

namespace milgen::cli {

struct TrainSettings {
  train::ModelConfig config;
  train::PipelineOptions pipeline;
  train::TrainOptions train;
  train::SampleOptions sample;
  std::string backend;
  std::string out;
  std::string model;      ///< llama2.c file; "" for weights by seed
  std::string resume;     ///< checkpoint; "" for none
  std::string tokens;     ///< file of tokens
  std::string tokenizer;  ///< "" for none
  std::string export_file;
  std::string prompt;
  train::TokenWidth width = train::TokenWidth::uint16;
  std::uint64_t init_seed = 0;
  bool compact_vocab = false;
  bool restart = false;
};

const CommandSpec& stories_train_spec();

/// False after reports. `usage` is set when they are about the command line and not about a file.
bool read_train_settings(const Context& context, const Args& args,
                         const StoriesTrainSetting& setting, TrainSettings& settings, bool& usage,
                         Diagnostics& diagnostics);

}  // namespace milgen::cli
