#include "milgen/stories_train.h"

int main(int argc, char** argv) { return milgen::stories_train_main(argc, argv); }
