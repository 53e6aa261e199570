# pragma version ^0.4.0
# A token whose balances lie behind other state.

totalSupply: public(uint256)
allowance: public(HashMap[address, HashMap[address, uint256]])
name: public(String[32])
balanceOf: public(HashMap[address, uint256])

symbol: public(constant(String[8])) = "VY"
decimals: public(constant(uint8)) = 18


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount
    self.totalSupply += amount
