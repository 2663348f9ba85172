// Rows of the op table: recurrent layers over [sequence, batch, features].
#pragma once

#include "ir/op_table.h"

namespace milgen::table {

constexpr Param recurrent_activation(std::string_view name, std::string_view def) {
  return any_case(text(name, "tanh scaled_tanh sigmoid hard_sigmoid relu linear", def));
}
constexpr Param one_way() { return text("direction", "forward reverse", "forward"); }

inline constexpr Param kRnnIos15[] = {
    in("x", 'T', kFp32),
    in("initial_h", 'T', kFp32),
    fixed("weight_ih", 'T', kFp32),
    fixed("weight_hh", 'T', kFp32),
    opt(fixed("bias", 'T', kFp32)),
    one_way(),
    boolean("output_sequence", false),
    recurrent_activation("activation", "tanh"),
};
inline constexpr Param kRnnIos17[] = {
    in("x", 'T', kFloat),
    in("initial_h", 'T', kFloat),
    fixed("weight_ih", 'T', kFloat),
    fixed("weight_hh", 'T', kFloat),
    opt(fixed("bias", 'T', kFloat)),
    one_way(),
    boolean("output_sequence", false),
    recurrent_activation("activation", "tanh"),
};
inline constexpr Signature kRnn[] = {{Opset::ios15, kRnnIos15}, {Opset::ios17, kRnnIos17}};

inline constexpr Param kGruIos15[] = {
    in("x", 'T', kFp32),
    in("initial_h", 'T', kFp32),
    fixed("weight_ih", 'T', kFp32),
    fixed("weight_hh", 'T', kFp32),
    opt(fixed("bias", 'T', kFp32)),
    one_way(),
    boolean("output_sequence", false),
    recurrent_activation("recurrent_activation", "sigmoid"),
    recurrent_activation("activation", "tanh"),
};
inline constexpr Param kGruIos17[] = {
    in("x", 'T', kFloat),
    in("initial_h", 'T', kFloat),
    fixed("weight_ih", 'T', kFloat),
    fixed("weight_hh", 'T', kFloat),
    opt(fixed("bias", 'T', kFloat)),
    one_way(),
    boolean("output_sequence", false),
    recurrent_activation("recurrent_activation", "sigmoid"),
    recurrent_activation("activation", "tanh"),
};
inline constexpr Param kGruIos18[] = {
    in("x", 'T', kFloat),
    in("initial_h", 'T', kFloat),
    fixed("weight_ih", 'T', kFloat),
    fixed("weight_hh", 'T', kFloat),
    opt(fixed("bias", 'T', kFloat)),
    one_way(),
    boolean("output_sequence", false),
    recurrent_activation("recurrent_activation", "sigmoid"),
    recurrent_activation("activation", "tanh"),
    opt(boolean("reset_after")),
    opt(fixed("input_bias", 'T', kFloat)),
};
inline constexpr Signature kGru[] = {
    {Opset::ios15, kGruIos15},
    {Opset::ios17, kGruIos17},
    {Opset::ios18, kGruIos18},
};

inline constexpr Param kLstmIos15[] = {
    in("x", 'T', kFp32),
    in("initial_h", 'T', kFp32),
    in("initial_c", 'T', kFp32),
    fixed("weight_ih", 'T', kFp32),
    fixed("weight_hh", 'T', kFp32),
    opt(fixed("bias", 'T', kFp32)),
    opt(fixed("peephole", 'T', kFp32)),
    opt(fixed("weight_ih_back", 'T', kFp32)),
    opt(fixed("weight_hh_back", 'T', kFp32)),
    opt(fixed("bias_back", 'T', kFp32)),
    opt(fixed("peephole_back", 'T', kFp32)),
    text("direction", "forward reverse bidirectional", "forward"),
    boolean("output_sequence", false),
    recurrent_activation("recurrent_activation", "sigmoid"),
    recurrent_activation("cell_activation", "tanh"),
    recurrent_activation("activation", "tanh"),
    real("clip", 'T', kFp32, absent()),
};
inline constexpr Param kLstmIos17[] = {
    in("x", 'T', kFloat),
    in("initial_h", 'T', kFloat),
    in("initial_c", 'T', kFloat),
    fixed("weight_ih", 'T', kFloat),
    fixed("weight_hh", 'T', kFloat),
    opt(fixed("bias", 'T', kFloat)),
    opt(fixed("peephole", 'T', kFloat)),
    opt(fixed("weight_ih_back", 'T', kFloat)),
    opt(fixed("weight_hh_back", 'T', kFloat)),
    opt(fixed("bias_back", 'T', kFloat)),
    opt(fixed("peephole_back", 'T', kFloat)),
    text("direction", "forward reverse bidirectional", "forward"),
    boolean("output_sequence", false),
    recurrent_activation("recurrent_activation", "sigmoid"),
    recurrent_activation("cell_activation", "tanh"),
    recurrent_activation("activation", "tanh"),
    real("clip", 'T', kFloat, absent()),
};
inline constexpr Signature kLstm[] = {{Opset::ios15, kLstmIos15}, {Opset::ios17, kLstmIos17}};

inline constexpr OpInfo kRecurrentOps[] = {
    {.code = OpCode::gru,
     .name = "gru",
     .family = "recurrent",
     .summary = "gated recurrent unit; the gates stand in the order reset, output, update",
     .signatures = kGru,
     .results = ResultCount::two,
     .infer = infer_gru},
    {.code = OpCode::lstm,
     .name = "lstm",
     .family = "recurrent",
     .summary = "long short-term memory; the gates stand in the order input, forget, output, cell",
     .signatures = kLstm,
     .results = ResultCount::three,
     .infer = infer_lstm},
    {.code = OpCode::rnn,
     .name = "rnn",
     .family = "recurrent",
     .summary = "activation(weight_ih x + weight_hh h + bias), step by step",
     .signatures = kRnn,
     .results = ResultCount::two,
     .infer = infer_rnn},
};

}  // namespace milgen::table
