### Strings every message may use. A message's own i18n file is looked up first.
### SMS strings keep to the GSM-7 alphabet: straight quotes, no dashes, no accents beyond it.

## Opening and closing

# "there" is the fallback for a customer without a name.
greeting = Hi { $name },
sign-off = Warm wishes from your { $shop } team

## Facts and buttons

label-carrier = Carrier
label-delivered = Delivered
label-estimated-delivery = Estimated delivery
label-location = Left at
label-order = Order
label-order-date = Ordered on
label-tracking-number = Tracking number
track-parcel = Track your parcel
view-order = View your order

## The articles of an order

lines-article = Article
lines-price = Price
lines-subtotal = Subtotal
lines-shipping = Shipping
lines-total = Total
lines-shown = { $shown } of { $total } articles shown

## Vouchers

voucher-percent = { $percent }% off
voucher-value = { $amount } off
voucher-code = Your voucher code
voucher-valid-until = Valid until { $date }

## Footer

footer-help = Any questions? We are happy to help: { $email }
footer-help-centre = Help centre
footer-why-order = You receive this message because it is about your order with { $shop }.
footer-why-customer = You receive this message because you are a customer of { $shop }. You decide what we send you.
footer-preferences = Choose what we send you
footer-unsubscribe = Unsubscribe

## SMS

sms-stop = Opt out: STOP
