// Adds the time of a scope to a number of milliseconds.
#pragma once

#include <chrono>

namespace milgen::train::detail {

class Timed {
 public:
  explicit Timed(double& milliseconds) : milliseconds_(milliseconds) {}
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  ~Timed() { stop(); }
  /// The time ends here, and not with the scope.
  void stop() {
    if (stopped_) return;
    stopped_ = true;
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - begun_;
    milliseconds_ += took.count();
  }

 private:
  double& milliseconds_;
  bool stopped_ = false;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace milgen::train::detail
