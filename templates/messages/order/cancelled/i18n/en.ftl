subject = Your order { $number } has been cancelled
preheader = You don’t need to do anything else.
preheader-refund = Your refund of { $amount } is on its way.
headline = Your order has been cancelled
intro = We have cancelled your order { $number }. You don’t need to do anything else.
# $reason is customer_request, out_of_stock, payment or other.
reason = { $reason ->
    [customer_request] You asked us to cancel it.
    [out_of_stock] We are sorry: something you ordered is no longer available.
    [payment] The payment could not be completed.
   *[other] If you would like to know why, just ask us.
}
label-order-total = Order total
refund = We are refunding { $amount } to your original payment method.
refund-days = { $days ->
    [one] It should reach your account within one business day.
   *[other] It should reach your account within { $days } business days.
}
payment-question = A question about your payment? Write to { $email } and we’ll look into it.
sms = { $shop }: your order { $number } has been cancelled.
sms-refund = Your refund is on its way.
sms-questions = Questions? { $email }
