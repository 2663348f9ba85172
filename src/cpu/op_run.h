// OpRun over the slots of a frame.
#pragma once

#include <string>

#include "cpu/executor.h"
#include "cpu/kernel.h"

namespace milgen::cpu {

class StepRun final : public OpRun {
 public:
  StepRun(Runner& runner, const StepCode& step) : runner_(runner), step_(step) {}

  const OpInfo& info() const override { return *step_.op; }
  Opset opset() const override { return step_.opset; }
  NumericMode mode() const override { return runner_.mode_; }
  ThreadPool& pool() const override { return runner_.pool_; }
  std::uint64_t op_seed() const override;

  int count(std::string_view param) const override;
  const TensorView& in(std::string_view param, int index) const override;
  std::int64_t integer(std::string_view param) const override;
  double real(std::string_view param) const override;
  bool boolean(std::string_view param) const override { return integer(param) != 0; }
  std::string_view text(std::string_view param) const override;
  Ints integers(std::string_view param) const override;
  std::span<const std::string> texts(std::string_view param) const override;

  int results() const override { return static_cast<int>(step_.results); }
  const TensorView& out(int i) const override;
  const TensorView* make_out(int i, std::span<const std::int64_t> shape) override;

  std::byte* scratch(std::uint64_t bytes) override;
  detail::AlignedBuffer& workspace() override { return runner_.frame_.workspace(); }
  bool fail(Rule rule, std::string message) override { return runner_.fail(step_, rule, message); }

 private:
  const Slot* find(std::string_view param, int index = 0) const;
  const Param& param_of(std::string_view name) const;
  std::size_t rank_of(std::string_view param) const;

  Runner& runner_;
  const StepCode& step_;
};

}  // namespace milgen::cpu
