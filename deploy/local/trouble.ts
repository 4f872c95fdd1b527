// Trouble that the person at the terminal can do something about: its message says what.

export class StartTrouble extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StartTrouble';
  }
}
